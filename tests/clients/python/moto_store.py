"""moto as an S3 server that nobody here wrote: one bucket on a port that the system picks."""

import threading

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
s3 = boto3.client(
    "s3",
    endpoint_url=url,
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test-secret",
)
s3.create_bucket(Bucket="millrace")
print(f"listening on {url}")
print("store s3://millrace/")
print(f"export AWS_ENDPOINT_URL={url}")
print("export AWS_ACCESS_KEY_ID=test")
print("export AWS_SECRET_ACCESS_KEY=test-secret")
print("export AWS_REGION=us-east-1")
print("export AWS_ALLOW_HTTP=true", flush=True)
threading.Event().wait()
