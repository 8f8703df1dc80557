# Instances, key pairs, launch templates, images and tags with the unmodified provider, and what a
# user looks up beside them. Endpoint, region and keys come from the environment.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  default_tags { tags = { owner = "terraform" } }
}

variable "image" { type = string }
variable "public_key" { type = string }
variable "other" { type = string }
variable "team" { default = "a" }
locals { first = var.team == "a" }

data "aws_caller_identity" "me" {}
data "aws_region" "here" {}
data "aws_regions" "all" {}
data "aws_availability_zones" "all" { state = "available" }
data "aws_ami" "tiny" {
  owners      = ["self"]
  most_recent = true
  filter {
    name   = "image-id"
    values = [var.image]
  }
  filter {
    name   = "virtualization-type"
    values = ["hvm"]
  }
  filter {
    name   = "root-device-type"
    values = ["ebs"]
  }
  filter {
    name   = "state"
    values = ["available"]
  }
}
data "aws_ami_ids" "mine" { owners = ["self"] }
data "aws_ec2_instance_type" "small" { instance_type = "t2.small" }
data "aws_ec2_instance_types" "old" {
  filter {
    name   = "current-generation"
    values = ["false"]
  }
}
data "aws_ec2_instance_type_offerings" "all" { location_type = "availability-zone" }
data "aws_ec2_instance_type_offering" "best" {
  preferred_instance_types = ["c99.huge", "t3.micro"]
  filter {
    name   = "instance-type"
    values = ["t3.micro", "t2.micro"]
  }
}
data "aws_subnets" "default" {
  filter {
    name   = "default-for-az"
    values = ["true"]
  }
}
data "aws_subnet" "default" { id = data.aws_subnets.default.ids[0] }
data "aws_security_group" "default" { name = "default" }

resource "aws_key_pair" "mine" {
  key_name   = "terraform"
  public_key = var.public_key
  tags       = { team = var.team }
}

resource "aws_instance" "web" {
  ami                         = data.aws_ami.tiny.id
  instance_type               = local.first ? "t2.micro" : "t2.small"
  key_name                    = aws_key_pair.mine.key_name
  user_data                   = "#!/bin/sh\necho hello from ${var.team}\n"
  security_groups             = [data.aws_security_group.default.name]
  disable_api_stop            = false
  user_data_replace_on_change = false
  tags                        = { Name = "web", team = var.team }
}

resource "aws_instance" "full" {
  capacity_reservation_specification { capacity_reservation_preference = "open" }
  maintenance_options { auto_recovery = "default" }
  ami                         = data.aws_ami.tiny.id
  instance_type               = data.aws_ec2_instance_type_offering.best.instance_type
  availability_zone           = data.aws_availability_zones.all.names[0]
  subnet_id                   = data.aws_subnet.default.id
  vpc_security_group_ids      = [data.aws_security_group.default.id]
  associate_public_ip_address = false
  private_ip                  = cidrhost(data.aws_subnet.default.cidr_block, 99)
  monitoring                  = local.first
  disable_api_termination     = local.first
  source_dest_check           = true
  tenancy                     = "default"
  user_data_base64            = base64encode("not a script")
  root_block_device {
    volume_size           = 3
    volume_type           = "gp3"
    delete_on_termination = true
  }
  metadata_options {
    http_tokens                 = local.first ? "required" : "optional"
    http_endpoint               = "enabled"
    http_put_response_hop_limit = local.first ? 2 : 3
    instance_metadata_tags      = local.first ? "enabled" : "disabled"
  }
  credit_specification { cpu_credits = "unlimited" }
  tags        = { Name = "full" }
  volume_tags = { of = "full" }
}

# Without user data: the provider then plans a change for ever, anywhere (its issue 30825).
resource "aws_launch_template" "web" {
  name                   = "web"
  description            = "of ${var.team}"
  image_id               = data.aws_ami.tiny.id
  instance_type          = local.first ? "t2.micro" : "t2.small"
  key_name               = aws_key_pair.mine.key_name
  update_default_version = true
  metadata_options { http_tokens = "required" }
  block_device_mappings {
    device_name = "/dev/sda1"
    ebs {
      volume_size           = 2
      delete_on_termination = true
    }
  }
  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "by template" }
  }
  tags = { team = var.team }
}

# A new version of the template replaces it.
resource "aws_instance" "templated" {
  instance_initiated_shutdown_behavior = "terminate"
  launch_template {
    id      = aws_launch_template.web.id
    version = aws_launch_template.web.latest_version
  }
  tags = { Name = "by template" }
}

resource "aws_ec2_tag" "team" {
  resource_id = data.aws_ami.tiny.id
  key         = "team"
  value       = var.team
}
resource "aws_ami_launch_permission" "other" {
  image_id   = data.aws_ami.tiny.id
  account_id = var.other
}
resource "aws_ec2_instance_metadata_defaults" "ours" {
  http_tokens = local.first ? "required" : "optional"
}

data "aws_instance" "web" { instance_id = aws_instance.web.id }
data "aws_instances" "running" {
  instance_state_names = ["running"]
  filter {
    name   = "tag:Name"
    values = [aws_instance.web.tags.Name]
  }
}
data "aws_key_pair" "mine" {
  key_name           = aws_key_pair.mine.key_name
  include_public_key = true
}
data "aws_launch_template" "web" { id = aws_launch_template.web.id }
data "aws_ebs_volume" "root" {
  filter {
    name   = "attachment.instance-id"
    values = [aws_instance.web.id]
  }
}
data "aws_network_interface" "first" { id = aws_instance.web.primary_network_interface_id }

output "told" {
  value = {
    account = data.aws_caller_identity.me.account_id
    arn     = aws_instance.web.arn
    key     = data.aws_key_pair.mine.public_key
    network = data.aws_network_interface.first.private_ip == data.aws_instance.web.private_ip
    running = data.aws_instances.running.ids
    size    = data.aws_ebs_volume.root.size
    types   = data.aws_ec2_instance_types.old.instance_types
    version = data.aws_launch_template.web.latest_version
    web     = aws_instance.web.id
  }
}
