"""Which URLs and addresses webhooks may have: what leads into our own network is refused."""

from contextlib import nullcontext
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.webhooks.urls import (
    EndpointUrl,
    UrlError,
    check_reachable,
    is_public,
    parse_networks,
    parse_url,
)

LOOPBACK = parse_networks("127.0.0.0/8, ::1/128")


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/dravo",
        "https://HOOKS.example.com:443/dravo?key=1",
        "https://xn--bcher-kva.example/",
        "https://a-1.b.example.co",
        "https://hooks.example.com/" + "x" * (2_048 - 26),
    ],
)
def test_https_url_of_a_domain_is_accepted(url: str) -> None:
    assert not parse_url(url).local_only


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:99999/",
        "https://localhost/",
        "https://intranet/",
        "https://127.0.0.1/",
        "https://0x7f.1/",
        "https://0x7f.0x1/",
        f"https://{'a.' * 126}com/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://017700000001/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://hooks.example.com./",
        "https://hooks%2eexample.com/",
        "https://127.0.0.1%2f@hooks.example.com/",
        "https://user@hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com/#fragment",
        "https://bücher.example/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/ x",
        "https://hooks.example.com/\n",
        "https:///path",
        "https://",
        "ftp://hooks.example.com/",
        "hooks.example.com",
        "",
        "https://hooks.example.com/bücher",
        "https://hooks.example.com/\x7f",
        "https://hooks.example.com/" + "x" * (2_048 - 25),
    ],
)
def test_other_urls_are_refused_with_one_sentence_that_does_not_repeat_them(url: str) -> None:
    with pytest.raises(UrlError) as refused:
        parse_url(url)

    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://127.0.0.1:8080/hooks", 8080),
        ("http://127.0.0.1/", 80),
        ("https://127.0.0.1/", 443),
        ("https://[::1]/", 443),
        ("http://localhost:1/", 1),
        ("https://receiver/", 443),
        ("http://hooks.example.com:443/", 443),
        ("https://hooks.example.com:444/", 444),
    ],
)
def test_allowed_networks_permit_http_any_port_and_addresses_there(url: str, port: int) -> None:
    parsed = parse_url(url, LOOPBACK)

    assert (parsed.local_only, parsed.port) == (True, port)


def test_domain_on_the_usual_port_stays_public_where_networks_are_allowed() -> None:
    assert not parse_url("https://hooks.example.com/", LOOPBACK).local_only


@pytest.mark.parametrize(
    "url",
    [
        *("https://10.0.0.1/", "ftp://127.0.0.1/", "https://user@127.0.0.1/", "https://127.0.0.1/#here"),
        *("http://-receiver/", "http://receiver./", "http://a_b/", "http:///x"),
        *("http://127.0.0.1:99999/", "http://127.0.0.1/\\x", "http://127.0.0.1/ x", "http://127.0.0.1/é"),
    ],
)
def test_allowed_networks_permit_nothing_else(url: str) -> None:
    with pytest.raises(UrlError):
        parse_url(url, LOOPBACK)


HOOKS, LOCAL = parse_url("https://hooks.example.com/"), parse_url("http://receiver/", LOOPBACK)


@pytest.mark.parametrize(
    ("url", "addresses", "reachable"),
    [
        (HOOKS, ["1.1.1.1", "2606:4700::1111"], True),
        (HOOKS, ["1.1.1.1", "10.0.0.1"], False),
        (HOOKS, ["10.0.0.1", "1.1.1.1"], False),
        (HOOKS, ["1.1.1.1", "fe80::1%eth0"], False),
        (HOOKS, ["127.0.0.1"], True),
        (LOCAL, ["127.0.0.1"], True),
        (LOCAL, ["1.1.1.1"], False),
        (LOCAL, OSError("away"), False),
        (HOOKS, UnicodeError("label too long"), False),
    ],
)
def test_every_address_of_a_host_must_be_one_that_deliveries_may_reach(
    monkeypatch: pytest.MonkeyPatch, url: EndpointUrl, addresses: list[str] | Exception, *, reachable: bool
) -> None:
    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        assert (host, port) == (url.host, url.port)
        if isinstance(addresses, Exception):
            raise addresses
        return [(0, 0, 0, "", (one, port)) for one in addresses]

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    with nullcontext() if reachable else pytest.raises(UrlError, match=r"resolved|not public"):
        check_reachable(url, LOOPBACK)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.1", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.0.2.1"),
        *("192.168.0.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1"),
        *("2001::1", "2001:db8::1", "2001:20::1", "2002:7f00:1::", "3fff::1", "fc00::1", "fe80::1"),
        *("fec0::1", "ff02::1", "5f00::1"),
    ],
)
def test_address_that_is_not_one_public_host_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::e"])
def test_public_address_is_allowed(address: str) -> None:
    assert is_public(ip_address(address))


@settings(max_examples=40, deadline=None)
@given(st.ip_addresses(v=4))
def test_no_ipv6_form_of_an_ipv4_address_is_public(address: object) -> None:
    for form in (f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}"):
        assert not is_public(ip_address(form))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_accepted_or_refused_and_nothing_else(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}/", f"https://hooks.example.com{text}"):
        try:
            parse_url(url)
        except UrlError:
            continue


def test_address_in_a_url_is_reachable_without_a_resolver() -> None:
    check_reachable(parse_url("http://127.0.0.1:1/", LOOPBACK), LOOPBACK)
