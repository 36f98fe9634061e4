"""A server that behaves as none should: `hostile.py HOW`."""
import json, os, sys, time

how = sys.argv[1]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def say(**fields):
    print(json.dumps({"jsonrpc": "2.0", **fields}), flush=True)


if how == "nonsense":
    print("Listening on port 4711 ...", flush=True)
    time.sleep(1000)
if how == "endless":
    while True:
        sys.stdout.write("x" * 65536)
if how == "early":
    print("no licence", file=sys.stderr, flush=True)
    sys.exit(4)
if how == "careless":
    print("x" * 70 + sys.argv[2], flush=True)
    print("y" * 65530 + sys.argv[2], file=sys.stderr, flush=True)
    sys.exit(4)
if how == "chatty":
    print("Starting up ...", flush=True)

for line in sys.stdin:
    message = json.loads(line)
    method, number = message.get("method"), message.get("id")
    if method == "initialize":
        if how == "other-version":
            say(id=number, error={"code": -32602, "message": "Unsupported protocol version"})
            continue
        version = message["params"]["protocolVersion"]
        say(id=number, result={"protocolVersion": version, "capabilities": {"tools": {}},
                               "serverInfo": {"name": "hostile", "version": "1"}})
    elif method == "tools/list":
        tool = {"name": "tool", "inputSchema": SCHEMA}
        if how == "schema":
            tool["inputSchema"] = {"type": "object", "properties": {"a": {"type": "nonsense"}}}
        if how in ("output", "no-output"):
            tool["outputSchema"] = {"type": "object", "properties": {"n": {"type": "integer"}}}
        result = {"tools": [tool]}
        if how == "pages":
            result = {"tools": [{"name": "other", "inputSchema": SCHEMA}], "nextCursor": "more"}
        if how == "none":
            result = {"tools": []}
        say(id=number, result=result)
    elif method == "tools/call":
        content = [{"type": "text", "text": "fine"}]
        if how == "changed":
            say(id=number, error={"code": -32602, "message": "Unknown tool: tool"})
        elif how == "huge":
            sys.stdout.write('{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"' % number)
            while True:
                sys.stdout.write("x" * 65536)
        elif how == "output":
            say(id=number, result={"content": content, "structuredContent": {"n": "one"}})
        elif how == "silent":
            print("thinking", file=sys.stderr, flush=True)
        elif how == "asks":
            say(id=99, method="sampling/createMessage", params={"messages": [], "maxTokens": 5})
            say(id=number, result={"content": [{"type": "text", "text": sys.stdin.readline()}]})
        elif how == "nul":
            say(id=number, result={"content": [{"type": "text", "text": "a\0b"}]})
        else:
            say(id=number, result={"content": content})
