"""moto, with what gateways need of EC2 and moto lacks. docs/emulated-deployment.md lists why.

Only the emulator is changed here, never the product.
"""

from moto import server
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import amis, instances
from moto.ec2.responses.instances import InstanceResponse


class DuplicateName(EC2ClientError):
    code = "InvalidAMIName.Duplicate"
    message = "AMI name is already in use"


class IncorrectInstanceState(EC2ClientError):
    code = "IncorrectInstanceState"
    message = "The instance is not in a state for this"


def tags_for(resource, specifications):
    of_resource = [it for it in specifications if it["ResourceType"] == resource]
    return {tag["Key"]: tag["Value"] for it in of_resource for tag in it["Tags"]}


create_image = amis.AmiBackend.create_image


def create_image_with_its_disks(self, instance_id, name, description, tag_specifications):
    """An image has a snapshot of each disk, tagged as asked, and a name of its own."""
    if any(image.name == name for image in self.amis.values()):
        raise DuplicateName()
    of_image = [it for it in tag_specifications if it["ResourceType"] != "snapshot"]
    image = create_image(self, instance_id, name, description, of_image)
    image.disks = [(image.root_device_name, image.ebs_snapshot)]
    for device, disk in list(self.get_instance(instance_id).get_block_device_mapping)[1:]:
        snapshot = self.create_snapshot(disk.volume_id, image.ebs_snapshot.description, from_ami=image.id)
        image.disks.append((device, snapshot))
    tags = tags_for("snapshot", tag_specifications)
    for _, snapshot in image.disks:
        snapshot.add_tags(tags)
    return image


amis.AmiBackend.create_image = create_image_with_its_disks


def disks_of(image):
    return getattr(image, "disks", [(image.root_device_name, image.ebs_snapshot)])


amis.Ami.block_device_mappings = property(
    lambda self: [{"DeviceName": name, "Ebs": {"SnapshotId": it.id}} for name, it in disks_of(self)]
)
filter_value_of_image = amis.Ami.get_filter_value


def filter_value_with_snapshots(self, name, method=None):
    if name == "block-device-mapping.snapshot-id":
        return [snapshot.id for _, snapshot in disks_of(self)]
    return filter_value_of_image(self, name, method)


amis.Ami.get_filter_value = filter_value_with_snapshots


def only_if_alive(act):
    """What is terminated does not come back."""

    def acting(self):
        if self._state.name == "terminated":
            raise IncorrectInstanceState()
        return act(self)

    return acting


for name in ["start", "stop", "reboot"]:
    setattr(instances.Instance, name, only_if_alive(getattr(instances.Instance, name)))

terminate = instances.Instance.terminate


def terminate_without_address(self):
    """An address does not stay with an instance that is gone; ending it again is no error."""
    if self._state.name != "terminated":
        for address in self.ec2_backend.addresses:
            if address.instance is self:
                self.ec2_backend.disassociate_address(association_id=address.association_id)
        terminate(self)
    return instances.InstanceState("terminated", 48)


instances.Instance.terminate = terminate_without_address
run_instances = instances.InstanceBackend.run_instances


def run_instances_once(self, *arguments, **options):
    """A client token names one launch."""
    token = options["client_token"]
    for reservation in self.reservations.values():
        if any(instance.client_token == token for instance in reservation.instances):
            return reservation
    return run_instances(self, *arguments, **options)


instances.InstanceBackend.run_instances = run_instances_once
answer_run_instances = InstanceResponse.run_instances


def run_instances_protected(self):
    """Protection from termination can be asked for at launch."""
    answer = answer_run_instances(self)
    for instance in answer.result.instances:
        instance.disable_api_termination = bool(self._get_param("DisableApiTermination"))
    return answer


InstanceResponse.run_instances = run_instances_protected

if __name__ == "__main__":
    server.main()
