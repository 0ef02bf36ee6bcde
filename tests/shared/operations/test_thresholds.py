"""The thresholds of pages and commands are the numbers of the alerts' rules."""

import re
from pathlib import Path

import pytest
import yaml

from shared.operations import thresholds

RULES = {
    rule["alert"]: rule
    for group in yaml.safe_load((Path(__file__).parents[3] / "deploy/prometheus/rules.yaml").read_text())[
        "groups"
    ]
    for rule in group["rules"]
}


@pytest.mark.parametrize(("alert", "number"), thresholds.NUMBERS.items())
def test_threshold_stands_in_the_rule_of_its_alert(alert: str, number: float) -> None:
    numbers = {float(one) for one in re.findall(r"[<>]\s*(\d+(?:\.\d+)?)", RULES[alert]["expr"])}

    assert number in numbers


def test_platform_is_not_fresh_for_as_long_as_its_alert_waits() -> None:
    assert RULES["DravoNotFresh"]["for"] == "1h"
    assert thresholds.NOT_FRESH_FOR_SECONDS == 3600
