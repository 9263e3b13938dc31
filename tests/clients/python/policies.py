"""The S3 policies of docs/RUNBOOK.md, enforced by moto: an agent and a compactor work with theirs, and an agent can
neither delete data nor write elsewhere.

    policies.py MILLRACE        exits 0 if that is so
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

# Requests that are let through before policies count: what sets them up.
SETUP_REQUESTS = 7
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(SETUP_REQUESTS)

import boto3
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

MILLRACE = sys.argv[1]
STORE = "s3://bucket/prefix"
RUNBOOK = pathlib.Path(__file__).resolve().parents[3] / "docs/RUNBOOK.md"
WITHIN_S = 60


def policies():
    """The agent's and the compactor's, for this bucket."""
    blocks = re.findall(r"```json\n(.*?)```", RUNBOOK.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 2, f"{len(blocks)} policies in the runbook"
    named = [block.replace("BUCKET", "bucket").replace("PREFIX", "prefix") for block in blocks]
    for policy in named:
        json.loads(policy)
    return named


def user(iam, name, policy):
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="runbook", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def start(key, log, *args):
    env = dict(
        os.environ,
        AWS_ENDPOINT_URL=url,
        AWS_REGION="us-east-1",
        AWS_ACCESS_KEY_ID=key["aws_access_key_id"],
        AWS_SECRET_ACCESS_KEY=key["aws_secret_access_key"],
        NO_COLOR="1",
    )
    command = [MILLRACE, *args, "--store", STORE]
    return subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)


def until(what, seen):
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        found = seen()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {WITHIN_S} s: {what}")


def assert_denied(what, request):
    try:
        request()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", f"{what}: {error}"
    else:
        raise AssertionError(f"an agent may {what}")


server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
url = "http://{}:{}".format(*server.get_host_and_port())
at = {"endpoint_url": url, "region_name": "us-east-1"}
anyone = {"aws_access_key_id": "setup", "aws_secret_access_key": "setup"}
boto3.client("s3", **at, **anyone).create_bucket(Bucket="bucket")
iam = boto3.client("iam", **at, **anyone)
agent_policy, compactor_policy = policies()
agent, compactor = user(iam, "agent", agent_policy), user(iam, "compactor", compactor_policy)
s3 = boto3.client("s3", **at, **agent)
with tempfile.TemporaryDirectory() as folder:
    log_path = pathlib.Path(folder, "agent.log")
    with open(log_path, "wb") as log, open(pathlib.Path(folder, "compactor.log"), "w+b") as other_log:
        local = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
        process = start(agent, log, "broker", *local, "--metadata-checkpoint-entries", "4")
        try:
            listening = until("it listens", lambda: re.search(r"listening on (\S+)", log_path.read_text()))
            bootstrap = ("--bootstrap", listening[1])
            for n in range(6):
                produce = [MILLRACE, "produce", "orders", *bootstrap]
                subprocess.run(produce, input=f"record {n}\n".encode(), check=True, capture_output=True)
            keys = lambda: [o["Key"] for o in s3.list_objects_v2(Bucket="bucket")["Contents"]]
            until("a checkpoint is written", lambda: any(key.endswith("/manifest") for key in keys()))
            once = start(compactor, other_log, "compactor", "--once", "--compaction-objects-min", "2")
            code = once.wait(WITHIN_S)
            other_log.seek(0)
            assert code == 0, other_log.read().decode()
            consume = [MILLRACE, "consume", "orders", *bootstrap, "--from", "beginning", "--until-end"]
            read = subprocess.run(consume, check=True, capture_output=True).stdout.split(b"\n")
            assert sum(line.startswith(b"record ") for line in read) == 6, read
            assert not any("probe" in key for key in keys()), "what probes left behind"
            data = next(key for key in keys() if "/data/" in key)
            assert_denied("delete data", lambda: s3.delete_object(Bucket="bucket", Key=data))
            assert_denied("write elsewhere", lambda: s3.put_object(Bucket="bucket", Key="other", Body=b""))
        finally:
            process.terminate()
            code = process.wait(WITHIN_S)
    text = log_path.read_text()
assert code == 0, text
complaints = [line for line in text.split("\n") if re.search(" (WARN|ERROR) ", line)]
assert not complaints, "\n".join(complaints)
server.stop()
print("ok")
