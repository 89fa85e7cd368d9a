"""Which proxy variables are taken: what reqwest would pass over in silence ends the start instead."""

import pytest

from producer.shared.outgoing import check_proxies
from producer.shared.settings import SettingsError


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://proxy.test",
        "http://proxy.test:3128/",
        "http://user:pass%40word@proxy.test:3128",
        "https://proxy.test",
        "proxy.test:3128",
        "user:password@proxy.test:3128",
        "127.0.0.1:3128",
        "http://[::1]:3128",
    ],
)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_taken(name: str, url: str) -> None:
    check_proxies({name: url})


@pytest.mark.parametrize(
    "url",
    [
        "socks5h://proxy.test:1080",
        "ftp://proxy.test",
        "HTTP://proxy.test",
        " http://proxy.test ",
        "http://proxy.test:99999",
        "http://proxy.test:0",
        "http://:3128",
        "http://::1:3128",
        "http://[::1",
        "http://two words",
        "http://user:hidden#word@proxy.test:3128",
    ],
)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "all_proxy"])
def test_what_is_no_proxy_is_named_without_its_password(name: str, url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        check_proxies({name: url})

    said = str(raised.value)
    assert said == f"{name}: is no proxy that can be used: it must be an http:// or https:// URL"


@pytest.mark.parametrize(
    "hosts",
    [
        "",
        "*",
        "localhost,*",
        "localhost",
        "betcore.test, .example.test ,",
        "Some_Host-1.example.test",
        "127.0.0.1",
        "10.0.0.0/8,192.168.1.1/16",
        "::1,fd00::/8",
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_hosts_without_a_proxy_are_taken(name: str, hosts: str) -> None:
    check_proxies({name: hosts})


@pytest.mark.parametrize(
    "hosts",
    [
        "[::1]",
        "localhost,[::1]:8080",
        "betcore.test:443",
        "127.0.0.1:80",
        "https://betcore.test",
        "*.example.test",
        "betcore.test.",
        "one.test two.test",
        "one.test;two.test",
        "10.0.0",
        ".0.0.1",
        "10.0.0.0/",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/33",
        "fe80::1%eth0",
        "b\u00e9tcore.test",
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_what_would_name_no_host_is_said(name: str, hosts: str) -> None:
    with pytest.raises(SettingsError) as raised:
        check_proxies({name: hosts})

    assert str(raised.value).startswith(f"{name}: {hosts!r} cannot be read: it must be names, ")
