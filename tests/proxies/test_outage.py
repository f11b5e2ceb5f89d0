"""A proxy whose claimsmith is not there: it refuses every request, and recovers by itself."""

import client
import proxies
import pytest
import service
import upstream
import whoami
from programs import wait_until


@pytest.mark.parametrize("kind", proxies.ALL, ids=lambda kind: kind.__name__.lower())
def test_proxy_fails_closed_while_claimsmith_is_down(kind, tmp_path):
    with whoami.serving() as kratos, upstream.recording() as recorder:
        claimsmith, proxy = service.prepared(kind, kratos.address, recorder.address, tmp_path)
        cookie, _ = kratos.log_in()
        fields = [client.session(cookie), ("Authorization", "Bearer forged"), ("X-User-Id", "forged")]
        with proxy.serving():
            # Every stop and start is one that a deployment does.
            for _ in range(2):
                response = client.request(proxy, fields)
                assert response.status == proxy.failure and recorder.requests == [], response.body
                with claimsmith.serving():
                    passes = lambda: client.request(proxy, fields).status == 200
                    wait_until(passes, "the proxy recovers", 30)
                recorder.requests.clear()
