"""A NATS client of a page, for tests that say what no proper client would: the protocol is text (https://docs.nats.io/reference/reference-protocols/nats-protocol).
And NKeys: Ed25519 key pairs in base32 with a prefix that says whose they are."""
import base64, json, os, re, socket, ssl, subprocess, tempfile, time

PREFIXES = {"user": 20 << 3, "server": 13 << 3, "account": 0}
SEED = 18 << 3


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def _base32(raw):
    return base64.b32encode(raw + crc16(raw).to_bytes(2, "little")).rstrip(b"=").decode()


def _unbase32(text):
    raw = base64.b32decode(text + "=" * (-len(text) % 8))
    assert crc16(raw[:-2]).to_bytes(2, "little") == raw[-2:], "a damaged key"
    return raw[:-2]


class Key:
    """An NKey pair; signs with the openssl program."""

    def __init__(self, raw=None, kind="user"):
        self.raw = raw or os.urandom(32)
        pem = b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + self.raw) + b"\n-----END PRIVATE KEY-----\n"
        self._pem = pem
        public = subprocess.run(["openssl", "pkey", "-pubout", "-outform", "DER"], input=pem, capture_output=True, check=True).stdout[-32:]
        prefix = PREFIXES[kind]
        self.public = _base32(bytes([prefix]) + public)
        self.seed = _base32(bytes([SEED | prefix >> 5, (prefix & 31) << 3]) + self.raw)

    @staticmethod
    def from_seed(seed):
        return Key(_unbase32(seed.strip())[2:])

    def sign(self, data):
        with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as message:
            key.write(self._pem), key.flush()
            message.write(data), message.flush()
            return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key.name, "-in", message.name], capture_output=True, check=True).stdout


class Refused(Exception):
    """The server's -ERR."""


class Client:
    """connect() opens the socket: of the network's hosts, if the caller is `inside` one. tls: an SSLContext."""

    def __init__(self, host, port, key=None, tls=None, timeout=10):
        self.socket = socket.create_connection((host, port), timeout)
        self._buffer = b""
        info = json.loads(self._line().split(b" ", 1)[1])
        self.info = info
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        options = {"verbose": False, "pedantic": False, "lang": "test", "version": "1", "protocol": 1, "headers": True, "tls_required": bool(tls)}
        if key:
            options |= {"nkey": key.public, "sig": base64.urlsafe_b64encode(key.sign(info["nonce"].encode())).rstrip(b"=").decode()}
        self._send("CONNECT " + json.dumps(options) + "\r\n")
        self.messages, self.errors, self._subscriptions = [], [], 0
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def _line(self):
        while b"\r\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                raise Refused("the server closed the connection")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line

    def _exactly(self, count):
        while len(self._buffer) < count:
            self._buffer += self.socket.recv(65536)
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def publish(self, subject, payload, reply=""):
        payload = payload if isinstance(payload, bytes) else payload.encode()
        self._send(b"PUB %s %s %d\r\n%s\r\n" % (subject.encode(), reply.encode(), len(payload), payload))

    def subscribe(self, subject):
        self._subscriptions += 1
        self._send(f"SUB {subject} {self._subscriptions}\r\n")

    def _take(self):
        """One protocol line; True for PONG."""
        line = self._line()
        if line.startswith(b"MSG") or line.startswith(b"HMSG"):
            words = line.decode().split()
            payload = self._exactly(int(words[-1]) + 2)[:-2]
            self.messages.append((words[1], payload[int(words[-2]):] if line.startswith(b"H") else payload))
        elif line == b"PING":
            self._send("PONG\r\n")
        elif line.startswith(b"-ERR"):
            self.errors.append(line.decode())
        return line == b"PONG"

    def flush(self):
        """Until the server has seen all that was sent; what it refused is raised."""
        self._send("PING\r\n")
        try:
            while not self._take():
                pass
        except (Refused, OSError) as closed:
            raise Refused(f"{self.errors} {closed}")
        if self.errors:
            raise Refused(self.errors.pop(0))

    def next(self, timeout=5):
        """The next message as (subject, payload), or None."""
        until = time.monotonic() + timeout
        while not self.messages:
            self.socket.settimeout(max(0.01, until - time.monotonic()))
            try:
                self._take()
            except TimeoutError:
                return None
        return self.messages.pop(0)
