from dougong.testing import MiddlewareConformance

MAIL = "write to li.wei@example.com, 身份证 11010519491231002X"

FOUND = {
    "4111 1111 1111 1111, not 4111 1111 1111 1112": "[CARD_1], not 4111 1111 1111 1112",
    "11010519491231002X 110105194912310021": "[CN_ID_1] 110105194912310021",
    "电话 +86 138 0013 8000，座机 010-12345678": "电话 [PHONE_1]，座机 [PHONE_2]",
    "(212) 555-0123 or +44 20 7946 0958": "[PHONE_1] or [PHONE_2]",
    "192.168.0.1 999.1.1.1 2001:db8::1 12:30:45": "[IP_1] 999.1.1.1 [IP_2] 12:30:45",
    "李＠example.com li.wei+tag@mail.example.co.uk @handle": "李＠example.com [EMAIL_1] @handle",
    "371449635398431 6011 0009 9013 9424 or 4222222222222": "[CARD_1] [CARD_2] or [CARD_3]",
    "4111111111111111 123, 123 4111111111111111, 123 4567 8901 2345": "[CARD_1] 123, 123 [CARD_1], 123 4567 8901 2345",
    "1.2.3 and 20240131 and 3.14159": "1.2.3 and 20240131 and 3.14159",
}


class TestRedact(MiddlewareConformance):
    name = "middleware.redact"
    golden = (
        ([("llm", MAIL, "sent to [EMAIL_1]"), ("llm", "hello", "[EMAIL_1] and [x")],
         [[["write to [EMAIL_1], 身份证 [CN_ID_1]"], "sent to li.wei@example.com"], [["hello"], "[EMAIL_1] and [x"]]),
        ([("tool", MAIL, MAIL)], [[[MAIL], MAIL]]),
        ([("tool", MAIL, MAIL)], [[[MAIL], "write to [EMAIL], 身份证 [CN_ID]"]], {"results": True}),
        ([("llm", "K-123456", "ok [CUSTOMER_1]")], [[["[CUSTOMER_1]"], "ok [CUSTOMER_1]"]],
         {"patterns": {"CUSTOMER": "K-[0-9]{6}"}, "restore": False}),
        *(([("llm", text, "ok")], [[[seen], "ok"]]) for text, seen in FOUND.items()),
        ([("llm", "a@b.cn +1 212 555 0123", "ok")], [[["[EMAIL_1] +1 212 555 0123"], "ok"]], {"kinds": ["email"]}),
        ([("llm", "[EMAIL_1] c@d.cn a@b.cn c@d.cn", "[EMAIL_3][EMAIL_2]")],
         [[["[EMAIL_1] [EMAIL_2] [EMAIL_3] [EMAIL_2]"], "a@b.cnc@d.cn"]]),
        ([("llm", "a@b.cn", "half [EMAIL_1 [EMA"), ("retriever", "a@b.cn", [])],
         [[["[EMAIL_1]"], "half [EMAIL_1 [EMA"], [["a@b.cn"], []]]),
    )  # fmt: skip
    refused = ({"patterns": {"lower": "x"}}, {"patterns": {"A": "("}}, {"patterns": {"A": "x*"}})
    accepted = ({"patterns": {"A_B": "x"}}, {"kinds": []})


class TestRedactResults(MiddlewareConformance):
    name = "middleware.redact"
    params = {"results": True}
