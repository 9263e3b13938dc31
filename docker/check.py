#!/usr/bin/env python3
"""Checks docker/ against the code, without Docker: every metric that the dashboard and the alerts name exists, every
MILLRACE_ variable and every setting of the chart is a setting, every image is pinned, and every alert is in the RUNBOOK.

    python3 docker/check.py            exits 0 if all is well, else says what is not
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"
HISTOGRAM_SUFFIXES = ("_bucket", "_sum", "_count")
problems = []


def read(path):
    return path.read_text(encoding="utf-8")


def metrics():
    """The metrics in the code, with the names that histograms have in Prometheus."""
    names = set()
    for path in ROOT.glob("*/src/metric_definitions.rs"):
        for kind, name in re.findall(r'Metric::(\w+)\(\s*"(millrace_\w+)"', read(path)):
            names.add(name)
            if kind == "histogram":
                names.update(name + suffix for suffix in HISTOGRAM_SUFFIXES)
    return names


def settings():
    """The settings, by their variables."""
    rows = re.findall(r"^\| `([a-z0-9.]+)` \|.*`(MILLRACE_[A-Z0-9_]+)`", read(ROOT / "docs/SETTINGS.md"), re.M)
    return {variable: name for name, variable in rows}


def check_metrics():
    known = metrics()
    if len(known) < 40:
        problems.append(f"only {len(known)} metrics found in the code: this check is out of date")
    for path in [DOCKER / "prometheus/alerts.yaml", *DOCKER.glob("grafana/dashboards/*.json")]:
        for name in sorted(set(re.findall(r"millrace_\w+", read(path))) - known):
            problems.append(f"{path.relative_to(ROOT)}: no metric is called {name}")


def check_dashboards():
    for path in DOCKER.glob("grafana/dashboards/*.json"):
        dashboard = json.loads(read(path))
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        for panel in panels:
            if not panel.get("targets"):
                problems.append(f"{path.name}: {panel['title']} asks for nothing")
        ids = [panel["id"] for panel in dashboard["panels"]]
        if len(set(ids)) != len(ids):
            problems.append(f"{path.name}: two panels have one id")


def check_settings():
    known = settings()
    if len(known) < 50:
        problems.append(f"only {len(known)} settings found in docs/SETTINGS.md: this check is out of date")
    files = [DOCKER / "compose.yaml", DOCKER / "Dockerfile", *DOCKER.glob("helm/**/*.tpl"), *DOCKER.glob("helm/**/*.yaml")]
    for path in files:
        text = read(path)
        for variable in sorted(set(re.findall(r"\bMILLRACE_[A-Z0-9_]+\b", text)) - set(known)):
            problems.append(f"{path.relative_to(ROOT)}: {variable} is no setting")
        # Settings by name, as the chart's templates put them.
        named = set(re.findall(r'(?:set \$\w+|dict) "([a-z.]+)"', text)) & {n for n in re.findall(r'"([a-z]+\.[a-z.]+)"', text)}
        for name in sorted(named - set(known.values())):
            problems.append(f"{path.relative_to(ROOT)}: {name} is no setting")
    for path in DOCKER.glob("helm/**/*values.yaml"):
        for name in re.findall(r"^\s+([a-z]+(?:\.[a-z]+)+): ", read(path), re.M):
            if "/" not in name and name not in known.values() and not name.startswith(("eks.", "iam.", "azure.")):
                problems.append(f"{path.relative_to(ROOT)}: {name} is no setting")


def check_pins():
    images = re.findall(r"^\s+image: (\S+)", read(DOCKER / "compose.yaml"), re.M)
    images += re.findall(r"^FROM (\S+)", read(DOCKER / "Dockerfile"), re.M)
    for image in images:
        if image == "millrace:local":
            continue
        tag = image.split("@")[0].rsplit("/", 1)[-1].partition(":")[2]
        if tag in ("", "latest") or not ("@sha256:" in image or re.search(r"\d+\.\d+\.\d+", tag)):
            problems.append(f"{image} is not pinned")


def check_alerts():
    runbook = ROOT / "docs/RUNBOOK.md"
    told = read(runbook) if runbook.exists() else ""
    for alert in re.findall(r"- alert: (\w+)", read(DOCKER / "prometheus/alerts.yaml")):
        if f"`{alert}`" not in told:
            problems.append(f"docs/RUNBOOK.md does not say what {alert} means")
    for alert in set(re.findall(r"`(Millrace[A-Z]\w+)`", told)) - set(re.findall(r"- alert: (\w+)", read(DOCKER / "prometheus/alerts.yaml"))):
        problems.append(f"docs/RUNBOOK.md tells of {alert}, which is no alert")


for check in (check_metrics, check_dashboards, check_settings, check_pins, check_alerts):
    check()
for problem in problems:
    print(problem)
print(f"{len(problems)} problems")
sys.exit(1 if problems else 0)
