"""MiniStack, with what the deployment needs of AWS and MiniStack lacks. docs/emulated-deployment.md lists why.

Only the emulator is changed here, never the product: the template, the functions and the image are the ones of AWS.
"""

import base64
import hashlib
import json

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import ec2, ecs, eventbridge, sts
from ministack.services.cloudformation import provisioners


def address_create(logical_id, props, stack_name):
    ec2._allocate_address({"Domain": ["vpc"]})
    allocation, address = list(ec2._addresses.items())[-1]
    return address["PublicIp"], {"AllocationId": allocation, "PublicIp": address["PublicIp"]}


def address_delete(physical_id, props):
    for allocation, address in list(ec2._addresses.items()):
        if address["PublicIp"] == physical_id:
            ec2._release_address({"AllocationId": [allocation]})


def rule_create(logical_id, props, stack_name):
    group = ec2._security_groups[props["GroupId"]]
    group["IpPermissions"].extend(provisioners._ec2_sg_permissions([props]))
    return f"{props['GroupId']}-{logical_id}", {}


def rule_delete(physical_id, props):
    group = ec2._security_groups.get(props["GroupId"], {"IpPermissions": []})
    for permission in provisioners._ec2_sg_permissions([props]):
        if permission in group["IpPermissions"]:
            group["IpPermissions"].remove(permission)


# CloudFormation knows these types, MiniStack's does not, and refuses the whole template for them.
provisioners._RESOURCE_HANDLERS.update(
    {
        "AWS::EC2::EIP": {"create": address_create, "delete": address_delete},
        "AWS::EC2::SecurityGroupIngress": {"create": rule_create, "delete": rule_delete},
    }
)


alarm_record = provisioners._cw_metric_alarm_record


def alarm_on_a_metric(name, props):
    """MiniStack refuses alarms on an expression: here they are on the first metric that it is about."""
    terms = props.get("Metrics") or []
    metric = next((term["MetricStat"] for term in terms if "MetricStat" in term), None)
    if metric is None:
        return alarm_record(name, props)
    plain = {key: value for key, value in props.items() if key != "Metrics"}
    return alarm_record(name, {**plain, **metric["Metric"], "Statistic": metric["Stat"], "Period": metric["Period"]})


provisioners._cw_metric_alarm_record = alarm_on_a_metric


# CloudFormation's own spelling of container definitions reaches ECS with secrets and mount points empty.
provisioners._normalize_container_defs = provisioners._pascal_to_camel


resolve_secrets = ecs._resolve_container_secrets
encrypted = "ENCRYPTED:"


def resolve_and_decrypt(definition):
    """ECS gives a container the decrypted SecureString; MiniStack gives it its own stand-in for the ciphertext."""
    return {
        name: base64.b64decode(value[len(encrypted) :]).decode() if value.startswith(encrypted) else value
        for name, value in resolve_secrets(definition).items()
    }


ecs._resolve_container_secrets = resolve_and_decrypt


register_metadata = ecs._register_metadata


def register_with_role(task_arn, cluster_arn, definition, container, launch_type, env, host_mode, own_address):
    """Fargate names the Region and serves the task role's credentials at an address the SDKs trust. MiniStack names no
    Region, and serves credentials of no role at an address the SDKs refuse: here the session is given by environment."""
    token = register_metadata(
        task_arn, cluster_arn, definition, container, launch_type, env, host_mode, own_address
    )
    for name in ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"):
        env.pop(name, None)
    env.update(session(definition.get("taskRoleArn", ""), task_arn))
    _, _, _, region, account, _ = task_arn.split(":", 5)
    env.update({"AWS_REGION": region, "AWS_DEFAULT_REGION": region})
    return token


def session(role_arn, task_arn):
    if not role_arn:
        return {}
    account, role = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    name = task_arn.rsplit("/", 1)[-1]
    digest = hashlib.sha256(f"{role_arn} {task_arn}".encode()).hexdigest()
    credentials = {
        "AWS_ACCESS_KEY_ID": f"ASIA{digest[:16].upper()}",
        "AWS_SECRET_ACCESS_KEY": hashlib.sha256(f"secret {digest}".encode()).hexdigest(),
        "AWS_SESSION_TOKEN": hashlib.sha256(f"token {digest}".encode()).hexdigest(),
    }
    sts.register_session(
        credentials["AWS_ACCESS_KEY_ID"],
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
            "UserId": f"{role}:{name}",
            "SecretAccessKey": credentials["AWS_SECRET_ACCESS_KEY"],
            "SessionToken": credentials["AWS_SESSION_TOKEN"],
        },
    )
    return credentials


ecs._register_metadata = register_with_role

resource_of = iam_actions.extract_resource_arn
context_of = iam_actions.request_tag_context


def ecs_resource(service, method, path, headers, body, params, region, account):
    """MiniStack judges every call to ECS by its cluster. AWS does by task definition or task, and knows the cluster as a
    condition (Service Authorization Reference, Amazon ECS)."""
    if service != "ecs":
        return resource_of(service, method, path, headers, body, params, region, account)
    asked = json.loads(body)
    tasks = asked.get("tasks") or [asked.get("task") or "*"]
    return asked.get("taskDefinition") or tasks[0]


def ecs_context(service, action, body, params):
    context = context_of(service, action, body, params)
    if service == "ecs" and "cluster" in (asked := json.loads(body)):
        context["ecs:cluster"] = asked["cluster"]
    return context


iam_actions.extract_resource_arn = ecs_resource
iam_actions.request_tag_context = ecs_context

# Nobody but AWS may send events of AWS, and the harness stands in for it.
eventbridge._put_events.__defaults__ = (True,)

# On AWS every call comes by TLS, here none does; the bucket's policy denies what comes without.
app.pin_request_origin = lambda source_ip, secure_transport: iam_evaluator.pin_request_origin(source_ip, True)

if __name__ == "__main__":
    app.main()
