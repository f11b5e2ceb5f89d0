"""Fixtures: for each proxy, one that runs with a scripted Kratos, claimsmith and a recording upstream."""

import dataclasses
import subprocess

import proxies
import pytest
import service
import upstream
import whoami


@dataclasses.dataclass
class Stand:
    """A proxy and everything around it."""

    proxy: proxies.Proxy
    claimsmith: service.PageClaimsmith
    whoami: whoami.Whoami
    upstream: upstream.Upstream
    process: subprocess.Popen

    def recorded(self, action):
        """Returns the result of `action`, and the requests that reached the upstream meanwhile."""
        before = len(self.upstream.requests)
        result = action()
        return result, self.upstream.requests[before:]


@pytest.fixture(scope="module", params=proxies.ALL, ids=lambda kind: kind.__name__.lower())
def running(request, tmp_path_factory):
    with whoami.serving() as kratos, upstream.recording() as recorder:
        directory = tmp_path_factory.mktemp(request.param.__name__)
        claimsmith, proxy = service.prepared(request.param, kratos.address, recorder.address, directory)
        with claimsmith.serving() as process, proxy.serving():
            yield Stand(proxy, claimsmith, kratos, recorder, process)


@pytest.fixture
def stand(running):
    running.whoami.reset()
    return running
