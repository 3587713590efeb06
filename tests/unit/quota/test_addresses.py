"""Addresses as subjects of quotas."""

from __future__ import annotations

import pytest

from secure_ml_api.quota.addresses import address_subject


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "address:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("", "address:unknown"),
        ("not an address", "address:unknown"),
    ],
)
def test_an_address_is_counted_alone_and_an_ipv6_one_by_its_network(address: str, subject: str) -> None:
    assert address_subject(address) == subject
