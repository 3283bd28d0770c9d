"""llm.openai beside the openai client: 100 chats at once, faults, cancellation, memory, throughput, import time.

    python tests/benchmarks/llm_openai.py

Needs no data and no network: the server is this file, in a process of its own on the loopback. The openai client is
optional (pip install openai).
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _bench import row, side_by_side, skipped

THREADS, CHATS, PIECES = 100, 1000, 50
FAULTS = ("429", "500", "cut", "stall", "error")  # one request in ten, taking turns


# ---------------------------------------------------------------- the server


def sse(event: Any) -> bytes:
    return f"data: {event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)}\n\n".encode()


def chunk(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return sse({**base, "choices": [choice]})


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Requests of one connection. The user's message says what to do: ``{"n": 3, "pieces": 50, "fault": ""}``."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if b": " in line)
            body = json.loads(await reader.readexactly(int(fields[b"content-length"])))
            order = json.loads(body["messages"][-1]["content"])
            if not await reply(writer, **order):
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def reply(writer: asyncio.StreamWriter, n: int, pieces: int, fault: str) -> bool:
    """Write one reply; whether the connection may be used again."""
    if fault in ("429", "500"):
        content = b'{"error": {"message": "as ordered"}}'
        writer.write(b"HTTP/1.1 %s X\r\nRetry-After: 1\r\nContent-Length: %d\r\n\r\n" % (fault.encode(), len(content)))
        writer.write(content)
        return True
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(pieces):
        if fault and number == pieces // 2:
            if fault == "cut":
                return False
            if fault == "stall":
                await asyncio.sleep(3600)
            write(writer, sse({"error": {"message": "as ordered", "type": "server_error"}}))
            break
        write(writer, chunk(f"斗{n}-{number} "))
        await writer.drain()
        await asyncio.sleep(0)
    else:
        write(writer, chunk("", "stop"))
        usage = {"prompt_tokens": 1, "completion_tokens": pieces, "total_tokens": pieces + 1}
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        write(writer, sse({**base, "choices": [], "usage": usage}))
    write(writer, sse("[DONE]"))
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


def write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


async def serve() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@contextmanager
def serving() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()


# ---------------------------------------------------------------- the figures


def expected(n: int, pieces: int) -> str:
    return "".join(f"斗{n}-{number} " for number in range(pieces))


def order(n: int, pieces: int = PIECES, fault: str = "") -> str:
    return json.dumps({"n": n, "pieces": pieces, "fault": fault})


def faults(url: str) -> None:
    """1000 chats, 100 at once, one in ten faulty: each ends whole or with the reason that was planted."""
    import dougong
    from dougong_llm_openai import EndpointError

    model = dougong.make("llm.openai", model="m", base_url=url, timeout=5)
    named = {"429": "rate-limit", "500": "server", "cut": "cut-stream", "stall": "timeout", "error": "server"}
    outcome: Counter[str] = Counter()

    def work(n: int) -> None:
        fault = FAULTS[n // 10 % len(FAULTS)] if n % 10 == 0 else ""
        text, kind = "", ""
        try:
            for delta in model.chat([dougong.Message("user", order(n, fault=fault))]):
                text += delta.text
        except EndpointError as error:
            kind = error.kind
        before = "" if fault in ("429", "500") else expected(n, PIECES // 2 if fault else PIECES)
        outcome["as planted" if (kind, text) == (named.get(fault, ""), before) else f"{fault or 'sound'}: {kind}"] += 1

    before, start = resident(), time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(CHATS)))
    seconds = time.perf_counter() - start
    good = outcome.pop("as planted", 0)
    row(f"{CHATS} chats, {THREADS} at once, 10 % faults: ended as planted, every delta there", good, "chats",
        bar=f"= {CHATS}", holds=good == CHATS)  # fmt: skip
    if outcome:
        print(dict(outcome), file=sys.stderr)
    row("  the same, wall time (a stalled chat takes the time-out of 5 s)", seconds, "s")
    row("  resident memory gained", (resident() - before) / 2**20, "MiB")
    row("  highest resident memory of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB")
    model.close()


def cancelling(url: str) -> None:
    """Seconds from `Run.cancel` to the end of a call that waits for a silent server."""
    import dougong

    model = dougong.make("llm.openai", model="m", base_url=url, timeout=600)
    for what, pieces in (("before the first piece", 0), ("between pieces", 2)):
        times = []
        for turn in range(9):
            run, waiting, ended = dougong.Run(), threading.Event(), []

            def work(run: Any = run, waiting: Any = waiting, ended: Any = ended, pieces: int = pieces) -> None:
                try:
                    with run.active():
                        for _ in model.chat([dougong.Message("user", order(0, max(pieces, 1), "stall"))]):
                            waiting.set()
                except dougong.Cancelled:
                    ended.append(time.perf_counter())

            thread = threading.Thread(target=work)
            thread.start()
            waiting.wait(0.3 if pieces == 0 else 5)
            time.sleep(turn * 0.011)  # any moment of the slices into which waits are cut
            start = time.perf_counter()
            run.cancel()
            thread.join(10)
            times.append(ended[0] - start if ended else 10.0)
        row(f"cancelled {what}: slowest of 9", max(times), "s", bar="<= 0.5 s", holds=max(times) <= 0.5)
    model.close()


def interrupting(url: str) -> None:
    """Seconds from `Stream.close`, and from Ctrl-C at ``dougong run``, to the end, in the middle of a stream."""
    import dougong
    from dougong.journal import Journal, read

    config = f"main: {{use: pattern.prompt, llm: {{use: openai, model: m, base_url: '{url}', timeout: 600}}}}\n"
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "c.yaml"
        file.write_text(config, encoding="utf-8")
        closed, interrupted, whole = [], [], 0
        with dougong.load(file) as assembly:
            for turn in range(9):
                journal = Journal(Path(name) / f"{turn}.jsonl")
                events = assembly.stream(order(0, 2, "stall"), journal=journal)
                while next(events).kind != "delta":
                    pass
                time.sleep(turn * 0.011)
                start = time.perf_counter()
                events.close()
                closed.append(time.perf_counter() - start)
                journal.close()
                whole += list(read(journal.path))[-1]["e"] == "failed"
        for turn in range(5):
            path = Path(name) / f"run-{turn}.jsonl"
            command = [sys.executable, "-m", "dougong", "run", str(file), order(0, 2, "stall"), "--journal", str(path)]
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )  # fmt: skip
            while not path.exists() or b'"intent"' not in path.read_bytes():
                time.sleep(0.01)
            time.sleep(0.3 + turn * 0.011)  # both pieces have come
            start = time.perf_counter()
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
            interrupted.append(time.perf_counter() - start)
            whole += list(read(path))[-1]["e"] == "failed"
    row("stream.close(): slowest of 9", max(closed), "s", bar="<= 0.5 s", holds=max(closed) <= 0.5)
    row("Ctrl-C at dougong run: slowest of 5", max(interrupted), "s", bar="<= 0.5 s", holds=max(interrupted) <= 0.5)
    row("  journals of them that say how the run ended", whole, "", bar="14", holds=whole == 14)


def throughput(url: str) -> None:
    """The same chats through ours and through the openai client, by turns."""
    import dougong

    try:
        import openai
    except ImportError:
        skipped("throughput beside the openai client", "pip install openai")
        return
    ours = dougong.make("llm.openai", model="m", base_url=url)
    theirs = openai.OpenAI(base_url=url, api_key="k", max_retries=0)

    def ask_ours(n: int, pieces: int) -> str:
        return "".join(delta.text for delta in ours.chat([dougong.Message("user", order(n, pieces))]))

    def ask_theirs(n: int, pieces: int) -> str:
        stream = theirs.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": order(n, pieces)}],
            stream=True,
            stream_options={"include_usage": True},
        )
        return "".join(choice.delta.content or "" for event in stream for choice in event.choices)

    def many(ask: Any, chats: int, pieces: int, threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            replies = list(pool.map(lambda n: ask(n, pieces), range(chats)))
        assert replies == [expected(n, pieces) for n in range(chats)]

    for name, chats, pieces, threads in (("1 thread, long replies", 5, 1000, 1), ("1 thread, short replies", 100, 5, 1),
                                         ("100 threads", 200, 50, 100)):  # fmt: skip
        many(ask_ours, 5, 5, 1), many(ask_theirs, 5, 5, 1)
        cpu: dict[str, list[float]] = {"ours": [], "theirs": []}

        def timed(who: str, ask: Any, chats: int = chats, pieces: int = pieces, threads: int = threads, cpu: Any = cpu):  # type: ignore[no-untyped-def]
            start = time.process_time()
            many(ask, chats, pieces, threads)
            cpu[who].append(time.process_time() - start)

        times = side_by_side({"ours": lambda t=timed: t("ours", ask_ours), "theirs": lambda t=timed: t("theirs", ask_theirs)}, 7)  # fmt: skip  # noqa: E501
        total = chats * pieces
        row(f"pieces a second, {name}", total / times["ours"], "1/s", against="openai client",
            ratio=times["theirs"] / times["ours"])  # fmt: skip
        mine, other = (statistics.median(cpu[who]) / total * 1e6 for who in ("ours", "theirs"))
        row(f"CPU time of the client a piece, {name}", mine, "us", against="openai client", ratio=mine / other)
    ours.close()
    theirs.close()


def imports() -> None:
    """Milliseconds to import, best of 7 fresh processes each."""
    best = {}
    for module in ("dougong_llm_openai.chat", "httpcore", "httpx", "openai"):
        code = f"import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1e3)"
        runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(7)]
        if runs[0].returncode == 0:
            best[module] = min(float(run.stdout) for run in runs)
            row(f"import {module}", best[module], "ms")
        else:
            skipped(f"import {module}", "not installed")


def resident() -> int:
    """Bytes of this process in memory; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


if __name__ == "__main__":
    if "--serve" in sys.argv:
        asyncio.run(serve())
    else:
        with serving() as address:
            faults(address)
            cancelling(address)
            interrupting(address)
            throughput(address)
        imports()
