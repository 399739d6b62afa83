"""An OPC UA server for one test: `opcua_server.py PORT DIR [NAMESPACE ...]`.

DIR holds certificate.der and key.pem. Commands come as lines of JSON on standard input; each is answered by one line.
The server counts the services that it is asked for.
"""

import asyncio
import json
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

from asyncua import Server, ua
from asyncua.crypto.permission_rules import SimpleRoleRuleset, User, UserRole
from asyncua.server.history import HistoryDict
from asyncua.server.uaprocessor import UaProcessor

NAMES = {int(value): name for name, value in vars(ua.ObjectIds).items() if name.endswith("Request_Encoding_DefaultBinary")}
PLANT = "http://plant.example/area1"
SERVICES = Counter()
POLICIES = [
    ua.SecurityPolicyType.NoSecurity,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]


def count_services():
    process = UaProcessor._process_message

    async def counting(self, typeid, requesthdr, seqhdr, body):
        SERVICES[NAMES.get(typeid.Identifier, str(typeid)).removesuffix("Request_Encoding_DefaultBinary")] += 1
        return await process(self, typeid, requesthdr, seqhdr, body)

    UaProcessor._process_message = counting


class Users:
    """A reader with a password, as an administrator of the server; so nothing but the connector keeps it from writing."""

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if username == "reader" and password in ("correct horse", b"correct horse"):
            return User(role=UserRole.Admin, name=username)
        if username is None and certificate is not None:
            return User(role=UserRole.Admin, name="certificate")
        return None


class Plant:
    def __init__(self, server, namespace):
        self.server, self.namespace, self.nodes = server, namespace, {}

    async def add(self, name, value, unit=None, description=""):
        folder = self.nodes.get("folder")
        if folder is None:
            objects = self.server.nodes.objects
            folder = self.nodes["folder"] = await objects.add_folder(ua.NodeId("Area1", self.namespace), "Area1")
        node = await folder.add_variable(ua.NodeId(name, self.namespace), name, value)
        await node.write_attribute(
            ua.AttributeIds.Description, ua.DataValue(ua.LocalizedText(description))
        )
        await node.set_writable()
        if unit is not None:
            information = ua.EUInformation(NamespaceUri="http://www.opcfoundation.org/UA/units/un/cefact")
            information.DisplayName = ua.LocalizedText(unit)
            await node.add_property(0, "EngineeringUnits", information)
        self.nodes[name] = node
        return node

    async def set(self, name, value, status=0, at=None):
        at = datetime.now(timezone.utc) if at is None else datetime.fromisoformat(at)
        data = ua.DataValue(ua.Variant(value), ua.StatusCode(status), SourceTimestamp=at, ServerTimestamp=at)
        await self.server.write_attribute_value(self.nodes[name].nodeid, data)

    def get(self, name):
        data = self.server.read_attribute_value(self.nodes[name].nodeid)
        return {
            "value": data.Value.Value,
            "status": data.StatusCode.value if data.StatusCode else 0,
            "at": data.SourceTimestamp.isoformat() if data.SourceTimestamp else None,
        }


async def history(plant, server, name, count, start):
    """Numbers 0 to count - 1, a second apart; every tenth is bad."""
    node = plant.nodes[name]
    await server.historize_node_data_change(node, period=None, count=0)
    start = datetime.fromisoformat(start)
    for number in range(count):
        at = start + timedelta(seconds=number)
        status = ua.StatusCode(ua.StatusCodes.BadSensorFailure if number % 10 == 0 else 0)
        data = ua.DataValue(ua.Variant(float(number)), status, SourceTimestamp=at, ServerTimestamp=at)
        await server.iserver.history_manager.storage.save_node_value(node.nodeid, data)


async def main():
    port, directory, *namespaces = sys.argv[1:]
    count_services()
    server = Server(user_manager=Users())
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/plant")
    await server.set_application_uri("urn:plant.example:server")
    server.set_security_policy(POLICIES, permission_ruleset=SimpleRoleRuleset())
    server.set_identity_tokens([ua.UserNameIdentityToken, ua.X509IdentityToken])
    await server.load_certificate(Path(directory) / "certificate.der")
    await server.load_private_key(Path(directory) / "key.pem")
    # Few samples at once, so that a history has continuation points.
    server.iserver.history_manager.set_storage(HistoryDict(max_history_data_response_size=7))
    for namespace in namespaces:
        await server.register_namespace(namespace)
    plant = Plant(server, await server.register_namespace(PLANT))
    await plant.add("PIT-1001", 4.6, unit="bar", description="Discharge pressure")
    await plant.add("TIT-1001", 61.25, unit="°C", description="Bearing temperature")
    await plant.add("P-101.Running", True)
    await plant.add("P-101.State", "Running")
    await plant.add("P-101.Starts", ua.Variant(1234, ua.VariantType.UInt32))
    await plant.add("P-101.Curve", [1.0, 2.0])
    method = await server.nodes.objects.add_method(plant.namespace, "Reset", lambda parent: [], [], [])
    async with server:
        print(json.dumps({"namespace": plant.namespace, "method": method.nodeid.to_string()}), flush=True)
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            command = json.loads(line)
            answer = {}
            match command.pop("do"):
                case "set":
                    await plant.set(**command)
                case "get":
                    answer = plant.get(**command)
                case "history":
                    await history(plant, server, **command)
                case "services":
                    answer = dict(SERVICES)
                case "sessions":
                    answer = {"count": len(getattr(server.iserver, "_external_sessions", {}))}
                case "namespace":
                    answer = {"index": await server.register_namespace(command["uri"])}
            print(json.dumps(answer), flush=True)


asyncio.run(main())
