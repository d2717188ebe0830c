"""A loopback server that isn't the bottleneck: nginx with a few lines of Lua, about 15 µs an answer on one core.

Each place answers after another time. The answer names the number its prompt began with, so that a lost, doubled or mixed-up
row is seen; how long it takes depends on that number alone, so that everyone meets the same answers.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = Path("/usr/lib/nginx/modules")
WHERE_FROM = "apt-get install --no-install-recommends nginx libnginx-mod-http-lua"

HEAVY = """
local u = (number * 0.6180339887498949) % 1
local v = (number * 0.7548776662466927) % 1
local normal = math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * v)
ngx.sleep(math.min(20, 0.2 * math.exp(1.5 * normal)))
"""
"""Log-normal with a median of 0.2 s; one answer in sixty takes more than 5 s, none more than 20."""

PLACES = {"instant": "", "half": "ngx.sleep(0.5)", "ten": "ngx.sleep(10)", "heavy": HEAVY}
"""Name of a place -> Lua that waits."""

ANSWER = "Mixed: praise for the battery, a complaint about the screen. As asked for one word, negative. " * 4
USAGE = (
    '{"prompt_tokens":31,"completion_tokens":152,"total_tokens":183,"prompt_tokens_details":{"cached_tokens":0},'
    '"completion_tokens_details":{"reasoning_tokens":64,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
)
BEFORE = (
    '{"id":"chatcmpl-9aBcDeFgHiJkLmNoPqRsTuVwXyZ01","object":"chat.completion","created":1767225600,'
    '"model":"o1-mini-2024-09-12","choices":[{"index":0,"message":{"role":"assistant","content":"Answer to '
)
AFTER = f'. {ANSWER}","refusal":null}},"finish_reason":"stop"}}],"usage":{USAGE},"system_fingerprint":"fp_0123456789"}}'

CONFIGURATION = """
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/errors warn;
events {{ worker_connections 16000; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    client_body_buffer_size 256k;
    client_max_body_size 64m;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=16000;
{places}
    }}
}}
"""

PLACE = """
        location /{name}/ {{
            content_by_lua_block {{
                ngx.req.read_body()
                local body = ngx.req.get_body_data() or ""
                local name = string.match(body, '"content":%s*"(%d+)') or string.match(body, '"text":%s*"(%d+)') or "0"
                local number = tonumber(name)
                {wait}
                local text = {{[==[{before}]==], name, [==[{after}]==]}}
                ngx.header["Content-Length"] = {length} + #name
                ngx.print(text)
            }}
        }}
"""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The server at work, with its files in `folder`: the address that a place's name is put behind."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if nginx is None or not (MODULES / "ngx_http_lua_module.so").exists():
        sys.exit(f"the benchmark needs nginx with Lua: {WHERE_FROM}")
    port = _free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(_configuration(folder, port))
    process = subprocess.Popen([nginx, "-c", configuration, "-p", folder], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _configuration(folder: Path, port: int) -> str:
    places = "".join(
        PLACE.format(name=name, wait=wait, before=BEFORE, after=AFTER, length=len(BEFORE) + len(AFTER))
        for name, wait in PLACES.items()
    )
    return CONFIGURATION.format(modules=MODULES, folder=folder, port=port, places=places)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    for _ in range(500):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    sys.exit("nginx doesn't come up")
