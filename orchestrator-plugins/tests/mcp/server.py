"""A server by the official SDK. `server.py stdio`, or `server.py http`, which prints its port first."""
import json, os, socket, sys

import anyio
import uvicorn
from mcp.server.fastmcp import Context, FastMCP, Image
from mcp.types import ToolAnnotations

server = FastMCP("tools", log_level="ERROR")


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool(structured_output=False)
def greet(name: str) -> str:
    """Says hello."""
    return f"hello {name}"


@server.tool()
def environment() -> dict[str, str]:
    """What the server sees of its environment, and its process."""
    return {**os.environ, "pid": str(os.getpid())}


@server.tool(structured_output=False)
def fail(why: str) -> str:
    """Fails."""
    raise ValueError(why)


@server.tool(structured_output=False)
def picture() -> Image:
    """A picture of nothing."""
    return Image(data=b"nothing", format="png")


@server.tool(structured_output=False)
async def work(file: str, context: Context) -> str:
    """Tells how far it is, and goes on until it is told to stop; then it says so in the file."""
    await context.report_progress(1, 3, "begun")
    await context.info("working")
    try:
        await anyio.sleep(1000)
    except anyio.get_cancelled_exc_class():
        with open(file, "w") as out:
            out.write("told to stop")
        raise
    return "done"


@server.tool(structured_output=False)
def die() -> str:
    """Ends the server in the middle of the call."""
    print("out of ink", file=sys.stderr, flush=True)
    os._exit(7)


if sys.argv[1] == "stdio":
    server.run("stdio")
else:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="error")
    uvicorn.Server(config).run(sockets=[listener])
