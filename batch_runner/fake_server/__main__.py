"""`python -m batch_runner.fake_server`."""

from batch_runner.fake_server.cli import fake_server

fake_server()
