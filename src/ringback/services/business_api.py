"""Business API: the actions for systems, and Retell's function calls and inbound webhook."""

from ringback.config import Settings
from ringback.process import Service, run_process
from ringback.web.routes.actions import BusinessApi, action_routes
from ringback.web.routes.retell import RetellApi, retell_routes
from ringback.wiring import Dependencies


def build_service(deps: Dependencies) -> Service:
    operations = deps.business_operations()
    retell = RetellApi(
        operations=operations,
        bodies=deps.bodies,
        may_be_genuine=deps.may_be_retells,
        verify=deps.verify_retell,
        parse_tool_call=deps.parse_tool_call,
        parse_ringing=deps.parse_inbound_call,
        answer=deps.inbound_reply,
    )
    routers = [action_routes(BusinessApi(operations, deps.rules.new_id), deps.require_key())]
    return Service("business-api", routers=routers, routes=retell_routes(retell))


def run(settings: Settings, host: str, port: int) -> None:
    run_process(settings, host, port, build_service)
