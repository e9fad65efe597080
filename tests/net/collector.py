"""A collector of spans: takes OTLP over HTTP with JSON and appends each export to a file, a line each. usage: collector.py HOST PORT FILE"""
import http.server, json, sys


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        known = self.path == "/v1/traces" and self.headers["content-type"] == "application/json"
        if known:
            with open(sys.argv[3], "a") as out:
                out.write(json.dumps(json.loads(body)) + "\n")
        self.send_response(200 if known else 404)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Collector).serve_forever()
