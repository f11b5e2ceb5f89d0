"""What one request costs inside the process, under callgrind: instructions by function and allocations.

profile.py FOLDER: the folder of binaries that have their symbols. The bare echo, a token from the cache and a token that is
signed each answer the same session on one connection, so often once and more often a second time; the difference is what
a request takes. Instructions are the same on a busy machine; the kernel's are not seen.
"""

import collections
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FEW, MANY = 200, 700
DIGITS = "700000000001"
ALLOCATION = re.compile(r"^(mi_malloc_aligned|mi_zalloc_aligned|mi_realloc_aligned|malloc|calloc|realloc)$")
# What is ours and everything that a reader of the table would call by one name; the first that fits counts.
GROUPS = [
    ("reading the session", r"claimsmith::(session::(scan|known|Session>?::parse)|json::(skip|read))|from_utf8|TokenCache::read"),
    ("placing the token", r"with_header|write_escaped"),
    ("finding the token", r"cache::|quick_cache|foldhash|memcmp"),
    ("rendering the claims", r"claimsmith::(templates|claims)|PrivateClaims"),
    ("signing: OpenSSL's and aws-lc's code", r"^(aws_lc|_?_?ecp_nistz|ecp_|ec_|bn_|BN_|EVP_|CBB_|sha\d|OPENSSL|ossl|md_|rand_|ctr_|CRYPTO|bignum)"),
    ("base64", r"base64"),
    ("metrics, time, ids", r"prometheus|metrics::|Timespec|uuid|rand|chacha"),
    ("the rest of claimsmith", r"claimsmith"),
    ("memory", r"^(mi_|_mi_|_?_?mem|malloc|free|calloc|realloc|_int_|__libc_)|drop_in_place|finish_grow"),
    ("actix, tokio, http", r""),
]


def servers(binaries, folder, session):
    """The command of each server and what to read its address from."""
    answers = folder / "answers"
    answers.mkdir()
    claimsmith = binaries / "claimsmith"
    subprocess.run([claimsmith, "keys", "generate", "--alg", "ES256", "--out", folder / "keys.json"], check=True, capture_output=True)
    template = folder / "templates" / "session" / "claims.hbs"
    template.parent.mkdir(parents=True)
    template.write_text((ROOT / "templates" / "session" / "claims.hbs").read_text())
    for name, cache in [("hit", "on"), ("miss", "off")]:
        (folder / f"{name}.yaml").write_text(
            "serve: { api: { port: 0 }, admin: { port: 0 }, workers: 1 }\n"
            f"profiles: {{ p: {{ issuer: i, jwks: keys.json, template: session, cache: {cache} }} }}\n"
        )
    # What the hit answers is what the echo answers.
    process, address = start([claimsmith, "--config", folder / "hit.yaml", "serve"])
    (answers / "p").write_bytes(ask(connect(address), session))
    process.kill()
    process.wait()
    return {
        "floor": [binaries / "claimsmith-bench", "serve-echo", answers],
        "hit": [claimsmith, "--config", folder / "hit.yaml", "serve"],
        "miss": [claimsmith, "--config", folder / "miss.yaml", "serve"],
    }


def start(command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if "serve-echo" in command:
        return process, process.stdout.readline().strip()
    for line in process.stderr:
        if line.startswith("{") and (event := json.loads(line)).get("message") == "serving":
            return process, event["api"]
    raise SystemExit("expected a server, found that it ended")


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=60)


def ask(connection, session):
    body = session.encode()
    head = f"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, body = answer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 "), head
    length = int(re.search(rb"content-length: (\d+)", head.lower()).group(1))
    while len(body) < length:
        body += connection.recv(65536)
    return body


def counted(command, count, session, folder):
    """Instructions by function and calls of each function, of the whole process."""
    record = folder / "callgrind"
    valgrind = ["valgrind", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no", f"--callgrind-out-file={record}"]
    process, address = start(valgrind + command)
    with connect(address) as connection:
        for number in range(count):
            ask(connection, session.replace(DIGITS, str(int(DIGITS) + number)))
    process.send_signal(signal.SIGTERM)
    process.communicate()
    cost, calls, function, callee, is_call = collections.Counter(), collections.Counter(), "", "", False
    for line in record.read_text().splitlines():
        if line.startswith("fn="):
            function = line[3:]
        elif line.startswith("cfn="):
            callee = line[4:]
        elif line.startswith("calls="):
            calls[callee] += int(line[6:].split()[0])
            is_call = True
        elif line[:1].isdigit():
            # The line after `calls=` has what the callee took, which is counted there.
            if not is_call:
                cost[function] += int(line.split()[1])
            is_call = False
    return cost, calls


def main():
    binaries = pathlib.Path(sys.argv[1]).resolve()
    session = subprocess.run([binaries / "claimsmith-bench", "session", "2048"], check=True, capture_output=True, text=True).stdout
    rows = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kind, command in servers(binaries, folder, session).items():
            few, many = (counted([str(part) for part in command], count, session, folder) for count in (FEW, MANY))
            cost, calls = ({key: (b[key] - a[key]) / (MANY - FEW) for key in b} for a, b in zip(few, many))
            row = collections.Counter()
            for function, instructions in cost.items():
                row[next(group for group, pattern in GROUPS if re.search(pattern, function))] += instructions
            allocations = sum(count for function, count in calls.items() if ALLOCATION.match(function))
            rows[kind] = (row, allocations)
    print("| instructions of a request | floor | from the cache | signed |\n| --- | --- | --- | --- |")
    kinds = ["floor", "hit", "miss"]
    for group, _ in GROUPS:
        print(f"| {group} | " + " | ".join(f"{max(rows[kind][0][group], 0):,.0f}" for kind in kinds) + " |")
    print("| all | " + " | ".join(f"{sum(rows[kind][0].values()):,.0f}" for kind in kinds) + " |")
    print("| allocations | " + " | ".join(f"{rows[kind][1]:.1f}" for kind in kinds) + " |")


if __name__ == "__main__":
    main()
