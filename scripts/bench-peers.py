"""Measures Tenantry beside other systems, and its transcoder beside others; prints Markdown. Run by `scripts/bench peers`.

usage: bench-peers.py TENANTRY TRANSCODER_SERVE PEERS_DIRECTORY, with the URL of a PostgreSQL server in TENANTRY_TEST_POSTGRES_URL

All servers run at the same time and get load in turns: in each round every side once, each round beginning with another
side. A figure is the median of the rounds. CPU time is that of all processes of the server; other load on the machine
changes it less than rates.
"""

import base64
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "2"))
WRITERS, READERS = 64, 32
PREPARED = 1000  # records that are read in turn
TICK = os.sysconf("SC_CLK_TCK")
RECORD = {"adminRoles": ["admin", "ops-team"], "allowedClusters": ["standalone"]}
DEVICE = "/v1/devices/pump-0042"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def times_of(pid):
    """CPU time of a process, and of its children that have ended, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[1]), [int(ticks) / TICK for ticks in fields[11:15]]


def request(url, method="GET", body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    call = urllib.request.Request(url, data, headers or {}, method=method)
    with urllib.request.urlopen(call, timeout=10) as response:
        return response.read()


class Server:
    """A server in a process of its own."""

    def __init__(self, command, home, ready, **env):
        self.home = home
        home.mkdir(exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(home), **env}
        self.process = subprocess.Popen(command, cwd=home, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                request(ready)
                return
            except (urllib.error.URLError, OSError):
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise SystemExit(f"error: {command[0]} did not start")

    def cpu(self):
        return sum(times_of(self.process.pid)[1][:2])

    def stop(self):
        self.process.kill()
        self.process.wait()


class Postgres:
    """The PostgreSQL server of scripts/with-postgres, durable."""

    def __init__(self, url):
        self.url = url
        directory = self.sql("SHOW data_directory")
        self.pid = int((Path(directory) / "postmaster.pid").read_text().split()[0])
        for setting in ["fsync", "full_page_writes"]:
            self.sql(f"ALTER SYSTEM SET {setting} = on")
        self.sql("SELECT pg_reload_conf()")
        for _ in range(100):
            if (self.sql("SHOW fsync"), self.sql("SHOW synchronous_commit")) == ("on", "on"):
                return
            time.sleep(0.05)
        raise SystemExit("error: PostgreSQL is not durable")

    def sql(self, statement):
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url, "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def cpu(self):
        """Of the server process, its processes, and those that have ended."""
        # The processes of clients that have just left are counted with the server process once they have ended.
        time.sleep(0.3)
        total = sum(times_of(self.pid)[1])
        for entry in Path("/proc").iterdir():
            try:
                parent, times = times_of(entry.name) if entry.name.isdigit() else (0, [])
            except OSError:
                continue
            total += sum(times[:2]) if parent == self.pid else 0
        return total


class Turn:
    """What one turn measured: requests a second, CPU microseconds of the server a request, p99 in milliseconds."""

    def __init__(self, requests, seconds, cpu, p99):
        self.rate, self.cost, self.p99 = requests / seconds, cpu / requests * 1e6, p99


def run(command, **env):
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, check=False)
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def wrk(server, script, url, clients, turn, seconds=SECONDS):
    """One turn of wrk. The script gets the number of the turn, so that it can make new names."""
    before = server.cpu()
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    text = run(command, TURN=f"{turn:04d}")
    cpu = server.cpu() - before
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"error: {url}\n{text}")
    requests, length, unit = re.search(r"(\d+) requests in ([\d.]+)(s|m)", text).groups()
    value, scale = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    p99 = float(value) * {"us": 0.001, "ms": 1, "s": 1000}[scale]
    return Turn(int(requests), float(length) * (60 if unit == "m" else 1), cpu, p99)


def grpc(server, url, headers, message, clients, home):
    """One turn of h2load with one gRPC message, over a connection for each client."""
    body, log = home / "message.bin", home / "h2load.log"
    body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    log.unlink(missing_ok=True)
    headers = ["content-type: application/grpc", "te: trailers", *headers]
    command = ["h2load", "-t1", f"-c{clients}", "-m1", f"-D{SECONDS}", "-d", str(body), f"--log-file={log}"]
    before = server.cpu()
    text = run(command + [part for header in headers for part in ("-H", header)] + [url])
    cpu = server.cpu() - before
    lines = [line.split() for line in log.read_text().splitlines()]
    # An error has the HTTP status 200 too, but no message.
    data = int(re.search(r"\((\d+)\) data", text)[1])
    if any(line[1] != "200" for line in lines) or data < 6 * len(lines):
        raise SystemExit(f"error: {url}\n{text}")
    durations = sorted(int(line[2]) for line in lines)
    return Turn(len(durations), SECONDS, cpu, durations[len(durations) * 99 // 100] / 1000)


def pgbench(server, script, clients, home):
    """One turn of pgbench. Starting the server's processes for its connections is subtracted."""
    command = ["pgbench", "-n", "-M", "prepared", f"-c{clients}", "-j1", f"-f{script}"]

    def cpu(*more):
        before = server.cpu()
        text = run([*command, *more, server.url])
        return text, server.cpu() - before

    _, start = cpu("-t1")
    for old in home.glob("pgbench-log*"):
        old.unlink()
    # Opening the connections takes part of the time.
    text, used = cpu(f"-T{SECONDS + 2}", "-l", f"--log-prefix={home}/pgbench-log")
    logs = "".join(log.read_text() for log in home.glob("pgbench-log*"))
    durations = sorted(int(line.split()[2]) for line in logs.splitlines())
    found = re.search(r"tps = ([\d.]+)", text)
    if found is None or "number of failed transactions: 0 " not in text:
        raise SystemExit(f"error: {script}\n{text}")
    rate = float(found[1])
    cost = (used - start) / (len(durations) - clients)
    return Turn(rate, 1, cost * rate, durations[len(durations) * 99 // 100] / 1000)


def lua(home, name, method, path, headers, body=None, read=False):
    """A script for wrk; NAME in path and body is a new name at each call, or that of one of the prepared records in turn."""
    name_of = f"string.format('%04d%04d', 0, n % {PREPARED} + 1)" if read else "os.getenv('TURN') .. string.format('%08d', n)"
    lines = [f"local headers = {{{', '.join(f'[{json.dumps(k)}] = {json.dumps(v)}' for k, v in headers.items())}}}", "local n = 0"]
    lines += ["function request()", "  n = n + 1", f"  local name = {name_of}"]
    for what, text in (("path", path), ("body", body)):
        parts = " .. name .. ".join(json.dumps(part) for part in text.split("NAME")) if text else "nil"
        lines.append(f"  local {what} = {parts}")
    lines += [f"  return wrk.format('{method}', path, headers, body)", "end"]
    script = home / f"{name}.lua"
    script.write_text("\n".join(lines) + "\n")
    return script


class Side:
    """A system with calls to write and to read a record, and with the records that are read."""

    def __init__(self, server, home, origin, headers, write, read, contains="allowedClusters"):
        self.server, self.origin = server, origin
        headers = {**headers, "content-type": "application/json"}
        self.scripts = {
            "write": (lua(home, "write", *write[:2], headers, write[2]), WRITERS),
            "read": (lua(home, "read", *read[:2], headers, read[2], read=True), READERS),
        }
        for number in range(1, PREPARED + 1):
            self.call(*write, headers, f"{number:08d}")
        if contains not in self.call(*read, headers, "00000001").decode():
            raise SystemExit(f"error: {origin} does not return what was written")

    def call(self, method, path, body, headers, name):
        data = body.replace("NAME", name).encode() if body else None
        call = urllib.request.Request(self.origin + path.replace("NAME", name), data, headers, method=method)
        with urllib.request.urlopen(call, timeout=10) as response:
            return response.read()

    def turn(self, what, number):
        script, clients = self.scripts[what]
        return wrk(self.server, script, self.origin, clients, number)


def compare(sides, what):
    """Alternating turns: for each side the medians of rate, cost and p99."""
    turns = {name: [] for name in sides}
    names = list(sides)
    for place in range((ROUNDS + 1) * len(names)):
        number, side = divmod(place, len(names))
        name = names[(side + number) % len(names)]
        turn = sides[name](what, compare.turn)
        compare.turn += 1
        if number > 0:  # the first is a warm-up
            turns[name].append(turn)
    middle = statistics.median
    return {
        name: (middle(t.rate for t in of), middle(t.cost for t in of), middle(t.p99 for t in of)) for name, of in turns.items()
    }


compare.turn = 1


def table(title, results):
    (rate, cost, _), *_ = results.values()
    print(f"\n{title}:\n")
    print("| system | calls per second | Tenantry to it | server CPU per call | it to Tenantry | p99 |")
    print("|---|---|---|---|---|---|")
    for name, (its_rate, its_cost, p99) in results.items():
        ratios = f"{rate / its_rate:.2f} | {its_cost:.1f} us | {its_cost / cost:.2f}"
        print(f"| {name} | {its_rate:,.0f} | {ratios} | {p99:.2f} ms |", flush=True)


def field(number, data):
    """A field of a protobuf message with fewer than 128 bytes."""
    return bytes([number << 3 | 2, len(data)]) + data


def stores(tenantry, peers, home, started):
    record = json.dumps(RECORD, separators=(",", ":"))

    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    server = Server([tenantry, "dev", "--listen", f"127.0.0.1:{port}"], home / "tenantry", origin + "/readyz")
    started.append(server)
    token = (server.home / ".tenantry/admin.jwt").read_text().strip()
    bearer = {"authorization": f"Bearer {token}"}
    path = "/admin/v2/tenants/tenant-NAME"
    ours = Side(server, server.home, origin, bearer, ("PUT", path, record), ("GET", path, None))
    get = ("/tenantry.messaging.v2.TenantService/GetTenant", [f"authorization: Bearer {token}"], field(1, b"tenant-00000500"))

    def ours_grpc(_what, _turn, server=server, origin=origin):
        return grpc(server, origin + get[0], get[1], get[2], READERS, server.home)

    port = free_port()
    bao = f"http://127.0.0.1:{port}"
    command = [peers / "openbao/openbao", "server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token"]
    server = Server([*command, f"-dev-listen-address=127.0.0.1:{port}"], home / "openbao", bao + "/v1/sys/health")
    started.append(server)
    headers = {"x-vault-token": "root"}
    request(bao + "/v1/sys/mounts/kv", "POST", {"type": "kv", "options": {"version": "1"}}, headers)
    first, second = "/v1/kv/tenant-NAME", "/v1/secret/data/tenant-NAME"
    for directory in ("v1", "v2"):
        (server.home / directory).mkdir()
    bao1 = Side(server, server.home / "v1", bao, headers, ("POST", first, record), ("GET", first, None))
    bao2 = Side(server, server.home / "v2", bao, headers, ("POST", second, f'{{"data":{record}}}'), ("GET", second, None))

    origin, other = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = [peers / "etcd/bin/etcd", "--log-level=error", f"--data-dir={home}/etcd/data"]
    command += [f"--listen-client-urls={origin}", f"--advertise-client-urls={origin}", f"--listen-peer-urls={other}"]
    command += [f"--initial-advertise-peer-urls={other}", f"--initial-cluster=default={other}"]
    server = Server(command, home / "etcd", origin + "/health")
    started.append(server)
    user = {"name": "root", "password": "root"}
    request(origin + "/v3/auth/user/add", "POST", user)
    request(origin + "/v3/auth/role/add", "POST", {"name": "root"})
    request(origin + "/v3/auth/user/grant", "POST", {"user": "root", "role": "root"})
    request(origin + "/v3/auth/enable", "POST", {})
    token = json.loads(request(origin + "/v3/auth/authenticate", "POST", user))["token"]
    # Digits are base64 too, so that a new name needs no encoding.
    key = base64.b64encode(b"/tenants/").decode() + "NAME"
    value = base64.b64encode(record.encode()).decode()
    put = ("POST", "/v3/kv/put", f'{{"key":"{key}","value":"{value}"}}')
    get_etcd = ("POST", "/v3/kv/range", f'{{"key":"{key}"}}')
    etcd = Side(server, server.home, origin, {"authorization": token}, put, get_etcd, value)
    name = base64.b64decode(key.replace("NAME", "00000500"))

    def etcd_grpc(what, _turn, server=server, origin=origin):
        write = what == "write"
        message = field(1, name) + (field(2, record.encode()) if write else b"")
        url = f"{origin}/etcdserverpb.KV/{'Put' if write else 'Range'}"
        return grpc(server, url, [f"token: {token}"], message, WRITERS if write else READERS, server.home)

    postgres = Postgres(os.environ["TENANTRY_TEST_POSTGRES_URL"])
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TENANTRY_DATABASE_URL": postgres.url}
    subprocess.run([tenantry, "migrate"], env=env, check=True, capture_output=True)
    directory = home / "pgbench"
    directory.mkdir()
    (directory / "write.sql").write_text(INSERTS.format(record=record, **RECORD_JSON))
    (directory / "read.sql").write_text(SELECT)
    postgres.sql(ROWS.format(count=PREPARED, **RECORD_JSON))

    def bench(what, _turn):
        clients = WRITERS if what == "write" else READERS
        return pgbench(postgres, directory / f"{what}.sql", clients, directory)

    sides = {
        "Tenantry on SQLite, HTTP": ours.turn,
        "OpenBAO KV version 1, in memory, HTTP": bao1.turn,
        "OpenBAO KV version 2, in memory, HTTP": bao2.turn,
        "etcd, HTTP gateway": etcd.turn,
        "etcd, gRPC": etcd_grpc,
        "PostgreSQL, pgbench": bench,
    }
    table(f"A durable write of a small record, {WRITERS} clients", compare(sides, "write"))
    sides = {"Tenantry on SQLite, HTTP": ours.turn, "Tenantry on SQLite, gRPC": ours_grpc, **sides}
    table(f"A read of a small record, {READERS} clients", compare(sides, "read"))


RECORD_JSON = {"roles": json.dumps(RECORD["adminRoles"]), "clusters": json.dumps(RECORD["allowedClusters"])}

# The inserts of Tenantry for a new tenant, in one transaction.
INSERTS = r"""\set n random(1, 9000000000000000)
BEGIN;
INSERT INTO tenants (id, name, name_key, display_name, status, version, labels, created_at, updated_at, list_key) VALUES (md5(:n::text)::uuid, 'tenant-' || :n::text, 'tenant-' || :n::text, 'tenant-' || :n::text, 'active', 1, '{{}}', 1, 1, 'tenant-' || :n::text);
INSERT INTO messaging_tenants (tenant_id, admin_roles, allowed_clusters) VALUES (md5(:n::text)::uuid, '{roles}', '{clusters}');
INSERT INTO audit_events (id, at, caller_subject, caller_role, caller_kind, tenant_id, action, target, outcome, request_id, rpc, details) VALUES (md5(:n::text)::uuid, 1, 'admin', 'platform_admin', 'SERVICE', md5(:n::text)::uuid, 'tenant.create', 'tenant-' || :n::text, 'success', '', 'tenantry.messaging.v2.TenantService/CreateTenant', '{record}');
INSERT INTO outbox (id, topic, tenant_id, key, payload, created_at) VALUES (md5(:n::text)::uuid, 'tenant', md5(:n::text)::uuid, 'tenant-' || :n::text, '{{"change":"created"}}', 1);
COMMIT;
"""
ROWS = """WITH made AS (INSERT INTO tenants (id, name, name_key, display_name, status, version, labels, created_at, updated_at, list_key)
SELECT md5('r' || i)::uuid, 'read-' || i, 'read-' || i, 'read-' || i, 'active', 1, '{{}}', 1, 1, 'read-' || i FROM generate_series(1, {count}) i RETURNING id)
INSERT INTO messaging_tenants SELECT id, '{roles}', '{clusters}' FROM made"""
SELECT = rf"""\set n random(1, {PREPARED})
SELECT t.id, t.name, t.name_key, t.display_name, t.status, t.suspended_by, t.version, t.labels, t.created_at, t.updated_at, t.purge_at, t.list_key, m.tenant_id, m.admin_roles, m.allowed_clusters FROM tenants t LEFT JOIN messaging_tenants m ON m.tenant_id = t.id WHERE t.name_key = 'read-' || :n::text AND t.status <> 'deleted';
"""


def transcoders(serve, peers, home, started):
    device = home / "device.json"
    go = peers / "go-transcoders/bin/go-transcoders"
    commands = {
        "Tenantry's transcoder": [serve, "transcoder"],
        "axum by hand": [serve, "axum"],
        "rest_over_grpc": [serve, "rest_over_grpc"],
        "vanguard-go, in process": [go, "vanguard", device],
        "grpc-gateway, in process": [go, "gateway", device],
        "grpc-gateway, with its hop": [go, "gateway-hop", device],
    }
    sides = {}
    for name, command in commands.items():
        address = f"127.0.0.1:{free_port()}"
        url = f"http://{address}{DEVICE}"
        directory = home / f"transcoder-{len(sides)}"
        server = Server([*command, address], directory, url, GOMAXPROCS="1")
        started.append(server)
        body = request(url).decode()
        if not device.exists():
            device.write_text(body)
        if len(body) != len(device.read_text()) and "grpc-gateway" not in name and "vanguard" not in name:
            raise SystemExit(f"error: {name} returns {len(body)} bytes")
        scripts = {
            "GET": lua(directory, "get", "GET", DEVICE, {}),
            "PUT": lua(directory, "put", "PUT", DEVICE, {"content-type": "application/json"}, device.read_text()),
        }
        sides[name] = lambda what, turn, server=server, scripts=scripts, url=url: wrk(server, scripts[what], url, READERS, turn)
    for what in ("GET", "PUT"):
        results = compare(sides, what)
        (_, cost, _), *_ = results.values()
        print(f"\n{what} of one device of {len(device.read_text())} bytes, {READERS} connections, one processor each:\n")
        print("| transcoder | requests per second of server CPU | Tenantry to it | CPU per request | requests per second | p99 |")
        print("|---|---|---|---|---|---|")
        for name, (rate, its_cost, p99) in results.items():
            figures = f"{1e6 / its_cost:,.0f} | {its_cost / cost:.2f} | {its_cost:.2f} us | {rate:,.0f} | {p99:.2f} ms"
            print(f"| {name} | {figures} |", flush=True)


def main():
    tenantry, serve, peers = (Path(argument).resolve() for argument in sys.argv[1:4])
    print(f"{ROUNDS} rounds of {SECONDS} s for each side; load before: {Path('/proc/loadavg').read_text().strip()}", flush=True)
    # Beside the sources, not in /tmp, which is often memory.
    for measure, subject in ((stores, tenantry), (transcoders, serve)):
        with tempfile.TemporaryDirectory(dir=peers.parent, prefix="bench-") as home:
            started = []
            try:
                measure(subject, peers, Path(home), started)
            finally:
                for server in started:
                    server.stop()
    print(f"\nload after: {Path('/proc/loadavg').read_text().strip()}")


main()
