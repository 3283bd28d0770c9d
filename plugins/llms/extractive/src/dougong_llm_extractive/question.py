"""What a question asks for, and what in a sentence could be that: question type and answer type, by rule."""

from __future__ import annotations

import re
from functools import lru_cache

KINDS = ("who", "when", "where", "number", "why", "how", "definition", "name", "other")

# Types by the first pattern that occurs. What it covers asks, so it need not occur in the answer; the group, or else
# what stands before 是什么 and the like, is the focus: the noun whose value is wanted.
_WH = r"\b(?:what|which)\b(?: \w+){0,2}? "
_QUANTITY = (
    r"numbers?|amount|percent(?:age)?|population|size|rank(?:ing)?|score|ratio|rate|age|cost|price|temperature|distance|height|"
    r"length|weight|area|speed|fraction|proportion|total|average|quantity|value|margin"
)
_TIME = r"years?|dates?|day|month|century|centuries|decades?|era|period|season|time"
_PLACE = (
    r"city|cities|country|countries|states?|place|location|region|continent|town|county|province|area|river|street|"
    r"building|island|village|district|nation|venue|stadium|direction"
)
_PERSON = (
    r"person|people|man|woman|president|king|queen|emperor|leader|author|actor|actress|scientist|player|director|general|"
    r"writer|artist|engineer|architect|inventor|physicist|scholar|producer|philosopher|singer|coach|ruler"
)
_ASKS_EN = {
    "why": rf"\bwhy\b|{_WH}(?:reasons?|causes?|caused|purpose)\b|\bwhat (?:reasons?|causes?|caused)\b|\bhow come\b",
    "number": r"\bhow (?:many|much) (\w+)"
    r"|\bhow (?:often|long|far|old|tall|large|big|high|deep|fast|wide|heavy|close|few)\b"
    rf"|\b(?:what|which)(?: \w+){{0,2}}? ({_QUANTITY})\b"
    rf"|\bwhat (?:is|was|were|are) the (?:\w+ ){{0,2}}?({_QUANTITY})\b",
    "when": rf"\bwhen\b|\b(?:what|which)(?: \w+)? ({_TIME})\b|\b(?:what|which) (?:was|is) the (?:\w+ )?({_TIME})\b",
    "where": rf"\bwhere\b|\b(?:what|which)(?: \w+){{0,2}}? ({_PLACE})\b",
    "who": rf"(?:^who|\b(?-i:who|whom|whose))\b|\b(?:what|which)(?: \w+){{0,2}}? ({_PERSON})\b",
    "how": r"\bhow\b|\bin what (?:way|manner)\b",
    "name": r"\b(?:what|which)(?: \w+)? (?:is|was|are|were)\b"
    r"(?=.*\b(?:called|named|term|known as|titled?|nickname\w*|names?)\b)",
    "definition": r"^what (?:is|are|was|were)\b(?= (?:an? |the )?[\w\-]+(?: [\w\-]+){0,2} ?\??$)"
    r"|\bwhat (?:does|did|do)\b(?=.* (?:mean|stand for|refer to)\b)",
    "other": r"\b(?:what|which) (\w+)",
}
_PLACE_ZH = "国家|城市|省份|省|市|县|地方|地区|国|州|区|镇|村|岛|河|山|洲|街|大学|学校|学院|车站|站|地|机场|海域"
_ASKS_ZH = {
    "why": r"为什么|为何|(?:什么|何种)原因|原因(?:是什么|有哪些|为何|在于什么|为)?|怎么会|因何|为啥"
    r"|理由(?:是什么)?|何以",
    "when": r"什么时候|何时|哪一?年(?:几月)?(?:几[日号])?|几几年"
    r"|(?:什么|哪个?|哪一个?|何)(?:时间|时期|年代|年份|朝代|世纪|月份|日期|时代|日子|季节|年)"
    r"|哪一?[天日]|几月(?:几[日号])?|几[日号点]|多久|(?:时间|日期)是(?:什么|多少|几)?",
    "number": r"多少(\w?)|第几(\w?)|(?<!十)几(\w)|多(?:长|高|大|远|重|快|深|宽|厚)",
    "where": rf"哪里|哪儿|何处|何地|哪(?:一?[个座所家条])?(?:{_PLACE_ZH})"
    rf"|(?:什么|哪些)(?:{_PLACE_ZH}|位置|地点)|(?:位于|位在|在|坐落于|来自)(?:哪|什么)",
    "who": r"谁|何人|哪一?[位名]|什么人|哪[个些](?:人|歌手|演员|作家|导演|皇帝)",
    "name": r"(?:称|叫|名)(?:为|作|做|之)?(?:什么|何)(?:名字|名)?"
    r"|(?:名字|名称|别名|学名|简称|全名|原名|本名|姓名)(?:是|为)?什么|什么名",
    "definition": r"什么是|(?<!的\w)(?<!的\w\w)(?<!的\w{3})(?<!的\w{4})(?:是|指)(?:指)?什么(?:意思)?(?=[？?\s]*$)"
    r"|何谓|怎么(?:理解|定义)|指的是什么",
    "how": r"如何|怎么样?|怎样|用什么方[法式]",
    "other": r"是?什么(\w{0,2})|哪(?:[个种一]|几[个种位名]?|些)?(\w{0,2})|何|吗|是否|有无",
}

_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_NUMBER_WORD = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|"
    "ninety|hundreds?|thousands?|millions?|billions?|half|dozens?|twice|once|third|quarter|several|both|first|second|fourth"
)
_HAN_NUMBER = "[0-9０-９][0-9０-９,.]*|[一二三四五六七八九十百千万亿两半]+"
_SURNAME = (
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕张孔曹严金魏姜谢邹苏潘葛范彭鲁马方任袁柳史唐薛雷贺罗郝安常于傅齐康余顾孟黄萧尹姚邵汪"
    "毛戴宋庞熊纪舒屈项董梁杜贾江郭林钟徐邱骆高夏蔡田胡霍万卢莫房丁邓洪石崔龚程陆翁段侯武刘景龙叶黎白蒲卓池乔曾关梅尤"
)
_NAME = r"[A-Z][\w'’\-]+"
_INSIDE = rf"(?<=[a-z,;(\"“] ){_NAME}"  # a capital that no sentence begins with
_EVIDENCE = {
    "who": rf"{_INSIDE}(?: (?:de|van|von|of|the|bin|al|der|da) {_NAME}| [A-Z][\w'’.\-]+)*|\b{_NAME} {_NAME}"
    rf"|[\u4e00-\u9fff]{{2,8}}·[\u4e00-\u9fff]{{2,8}}|[{_SURNAME}][\u4e00-\u9fff]{{1,2}}"
    r"|由|先生|女士|教授|总统|皇帝|导演|将军|博士|作家|歌手|演员|之子|国王|公主|主席",
    "when": rf"\b(?:1\d|20)\d\ds?\b|\b(?:{_MONTH})\b|\b\d{{1,2}}(?:st|nd|rd|th) centur(?:y|ies)\b"
    r"|\b\d{2,4} ?(?:BC|AD|BCE|CE)\b|\b(?:early|late|mid)[ -]\w+|\bcentur(?:y|ies)\b"
    r"|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b"
    rf"|(?:{_HAN_NUMBER})(?:年|月|日|号|世纪|年代|点)|[初中晚末]期|朝|时期|时代|同年|翌年|[春夏秋冬]季",
    "where": r"\b(?:in|at|near|from|to|of|between|across|outside|along|around|within|into|toward|north|south|east|west)"
    rf" (?:the |\w+ern )?{_NAME}|\b(?:north|south|east|west)\w*\b|位于|坐落|在[^，。]{{1,12}}[里内上中县市省村]"
    r"|[\u4e00-\u9fff]{1,6}(?:省|市|县|区|镇|乡|村|州|岛|山|河|路|街|国|洲|港|湾|大学|学院|站)",
    "number": rf"\d[\d,.]*|\b(?:{_NUMBER_WORD})\b|(?:{_HAN_NUMBER})(?![年月日0-9])",
    "why": r"\b(?:because|due to|since|as a result|caused|causing|reasons?|so that|in order to|therefore|thus|owing"
    r"|led to|leading to|result(?:ed|ing)?|to avoid|to prevent|thereby|hence|for fear|motivated|given that"
    r"|as (?:they|it|he|she))\b"
    r"|因为|由于|因此|因而|所以|导致|使得|为了|鉴于|因|原因|以便|以免|造成|故此|从而|致使",
    "how": r"\b(?:by|through|using|via|with|means of|method|process|allow(?:s|ed|ing)?|\w+ly)\b"
    r"|通过|利用|使用|采用|以|用|借助|经由|方式|方法|透过",
    "definition": r"\b(?:is|are|was|were) (?:an?|the|any|one)\b"
    r"|\b(?:refers? to|defined as|known as|means?|called|consists? of|describes?|stands? for)\b|\([A-Z]{2,}\)"
    r"|是|指|即|又称|简称|意为|称为|意思|属于|为",
    "name": r"\b(?:called|named|known as|term(?:ed)?|titled?|nicknamed|dubbed|referred to as)\b"
    r"|[\"“「『《]|称|名为|叫|又名|名",
    "other": rf"[\"“《「]|{_INSIDE}",
}
UNIT_OF_MEASURE = re.compile(
    r"[ \-]?(?:square |cubic |million |billion |thousand |hundred )*"
    r"(?:[kcm]?m²?\b|kilomet|met(?:er|re)s?\b|miles?\b|mi\b|f(?:ee|oo)?t\b|inch|yards?\b|acres?\b|hectare|kg\b|kilogram"
    r"|grams?\b|tons?\b|tonnes?\b|pounds?\b|years?\b|months?\b|weeks?\b|days?\b|hours?\b|minutes?\b|seconds?\b|centur"
    r"|decades?\b|percent|per cent|%|°|degrees?\b|dollars?\b|euros?\b|times\b)"
    r"|[多余]?(?:平方|立方)?(?:公里|千米|米|公尺|公分|厘米|毫米|英里|英尺|海里|里|丈|尺|公顷|亩|吨|公斤|千克|克|斤"
    r"|岁|年|个?月|周|天|日|个?小时|分钟|秒|世纪|度|元|美元|倍|％|%)"
)
_FIND = {kind: re.compile(pattern) for kind, pattern in _EVIDENCE.items()}
_ASKS = {
    "en": [(kind, re.compile(pattern, re.I)) for kind, pattern in _ASKS_EN.items()],
    "zh": [(kind, re.compile(pattern)) for kind, pattern in _ASKS_ZH.items()],
}


@lru_cache(1024)
def asks(question: str, language: str) -> tuple[str, str, str, str]:
    """The question's type, one of KINDS; the question without the words that ask; its focus, the noun whose value is
    wanted; what it counts ("how many people"). The last two may be empty.
    """
    for kind, pattern in _ASKS[language]:
        match = pattern.search(question)
        if match:
            focus = noun = next(filter(None, match.groups()), "")
            if language == "zh" and not noun:
                before = re.sub(r"[是有为在于被的了]+$", "", question[: match.start()])
                focus = re.split(r"[的，,、 ]", before)[-1][-3:]
            return (
                kind,
                question[: match.start()] + " " + question[match.end() :],
                focus,
                noun if kind == "number" else "",
            )
    return "other", question, "", ""


def evidence(kind: str, sentence: str, question: str) -> list[tuple[int, int]]:
    """Where `sentence` has something of the type asked for that `question`, in lower case, does not already say."""
    return [m.span() for m in _FIND[kind].finditer(sentence) if m[0].strip().lower() not in question]
