"""The floor: the same HTTP server answering the same bytes from memory.

python -m bench.static FILE
"""

import sys
from pathlib import Path

import uvicorn

BODY = Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else b""


async def app(scope, _receive, send):  # type: ignore[no-untyped-def]
    if scope["type"] != "http":
        return
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/xml;charset=UTF-8"),
                        (b"content-length", str(len(BODY)).encode())],
        }
    )  # fmt: skip
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    uvicorn.run(app, port=0, http="httptools", loop="uvloop", access_log=False, lifespan="off")
