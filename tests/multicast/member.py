# A member of a multicast group, which checks every packet of the video: server, own address, packets to take, options.
import socket, struct, sys, time

server, own, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = sys.argv[4:]
IP_RECVTTL = 12  # Linux; Python has no name for it
path = next((o[5:] for o in options if o.startswith("path=")), "/demo/clock")
url = f"rtsp://{server}:1554{path}"
rtsp = socket.create_connection((server, 1554), timeout=20)
replies = rtsp.makefile("rb")
session = ""
cseq = 0


def say(*words):
    print(*words, flush=True)


def request(method, target, headers=""):
    global session, cseq
    cseq += 1
    rtsp.sendall(f"{method} {target} RTSP/1.0\r\nCSeq: {cseq}\r\n{session}{headers}\r\n".encode())
    status = replies.readline().decode().split(" ")[1]
    fields = {}
    while (line := replies.readline().decode().strip()):
        name, value = line.split(":", 1)
        fields[name.lower()] = value.strip()
    body = replies.read(int(fields.get("content-length", 0))).decode()
    if "session" in fields:
        session = f"Session: {fields['session'].split(';')[0]}\r\n"
    if status != "200":
        say(method, status, body.strip())
        sys.exit(0)
    return fields


def member(group, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    s.bind((group, port))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(own))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    s.setblocking(False)
    return s


request("DESCRIBE", url)
transport = request("SETUP", url + "/trackID=0", "Transport: RTP/AVP;multicast\r\n")["transport"]
parameters = dict(part.split("=", 1) for part in transport.split(";") if "=" in part)
group, source = parameters["destination"], parameters["source"]
port, report_port = map(int, parameters["port"].split("-"))
ssrc = int(parameters["ssrc"], 16)
rtp, rtcp = member(group, port), member(group, report_port)
request("PLAY", url)
say("group", f"{group}:{port}")
say("playing")
rtsp.setblocking(False)
last = None
missing = doubled = taken = reports = ttl = 0
bye = False
until, reported, pinged = time.time() + 60, 0, time.time()
while taken < count and time.time() < until:
    idle = True
    try:
        data, control, _, sender = rtp.recvmsg(65536, 100)
        assert sender[0] == source, sender
        ttl = struct.unpack("i", control[0][2][:4])[0]
        assert struct.unpack(">I", data[8:12])[0] == ssrc
        sequence = struct.unpack(">H", data[2:4])[0]
        if last is not None:
            step = (sequence - last) & 0xFFFF
            doubled += step == 0 or step > 0x8000
            missing += 0 < step < 0x8000 and step - 1
        last = sequence
        taken += 1
        idle = False
    except BlockingIOError:
        pass
    try:
        data = rtcp.recv(65536)
        reports += data[1] == 200
        if data[1] == 201 and data[9:10] == b"\xcb" and not bye:
            bye = True
            say("bye")
    except BlockingIOError:
        pass
    try:
        if rtsp.recv(65536) == b"":
            say("closed")
            break
    except BlockingIOError:
        pass
    except OSError:
        say("closed")
        break
    if "report" in options and time.time() - reported > 0.5:
        reported = time.time()
        block = struct.pack(">IIIIII", ssrc, 0, 0, 900, 0, 0)
        rtcp.sendto(b"\x81\xc9\x00\x07\xab\xcd\xef\x01" + block, (group, report_port))
    # A finite count: a player that keeps its session by requests.
    if count < 100000 and time.time() - pinged > 1:
        pinged = time.time()
        cseq += 1
        rtsp.sendall(f"GET_PARAMETER {url} RTSP/1.0\r\nCSeq: {cseq}\r\n{session}\r\n".encode())
    if idle:
        time.sleep(0.002)
say(f"missing {missing} doubled {doubled} reports {reports}")
say("ttl", ttl)
if taken >= count:
    rtsp.setblocking(True)
    rtsp.sendall(f"TEARDOWN {url} RTSP/1.0\r\nCSeq: {cseq + 1}\r\n{session}\r\n".encode())
    time.sleep(0.1)
