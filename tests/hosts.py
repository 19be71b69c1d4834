"""Hosts that are not what they look like to a person, to every library, and to the platform."""

# What `inet_aton` or the URL standard reads as an IPv4 address, whole or in part.
NUMBERS = [
    *("2852039166", "0xa9fea9fe", "0XA9FEA9FE", "025177524776", "0251.0376.0251.0376", "0xa9.0xfe.0xa9.0xfe"),
    *("169.16689662", "169.254.43518", "0251.254.43518", "0xa9.0376.43518", "169.0xfea9fe", "127.1", "127.0.1"),
    *("0177.0.0.1", "0", "0x0", "0x", "0x7f.1", "017700000001", "2130706433", "00000000000000127.1"),
    *("1.2.3.4.5", "op.example.1", "op.example.0x7f", "256.256.256.256", "999", "1.2.3.0x4", "127.0.0.01"),
]
DISGUISED_HOSTS = [
    *NUMBERS,
    *(f"{host}." for host in ("op.example", "localhost", "169.254.169.254", "127.1", "2852039166")),
    *("op..example", ".op.example", "op.example..", "-op.example", "op-.example", f"{'a' * 64}.example"),
    *("op.example%2f", "127%2e0%2e0%2e1", "%31%32%37.1", "a%00b", "a,b", "a*b", "a'b", "a b", "a$b", "a(b)"),
    *("fe80::1%25eth0", "fe80::1%eth0", "::ffff:127.0.0.1%25lo", "::1::2", "1:2"),
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "::127.0.0.1", "::7f00:1"),
    *("2002:7f00:1::", "64:ff9b:1::7f00:1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2606:4700::a9fe:a9fe"),
    *("\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.1", "\u0661.1", "op\u3002example", "op.ex\u00adample"),
    ".".join(["a" * 60] * 5),
    "",
]
