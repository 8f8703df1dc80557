// A create-read-change-delete story with the unmodified AWS SDK for JavaScript v3.
// Endpoint, region and keys come from the environment, as in any user's script; the arguments are
// the image, how many instances, and a pattern for what the console tells in the end (none where
// there is no guest). What is not as EC2 does it throws, and so ends this with code 1.
import assert from "node:assert/strict";
import {
  CreateKeyPairCommand,
  CreateLaunchTemplateCommand,
  CreateTagsCommand,
  DeleteKeyPairCommand,
  DeleteLaunchTemplateCommand,
  DeleteTagsCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  DescribeKeyPairsCommand,
  DescribeRegionsCommand,
  EC2Client,
  EC2ServiceException,
  GetConsoleOutputCommand,
  ModifyInstanceAttributeCommand,
  paginateDescribeInstances,
  paginateDescribeInstanceTypes,
  paginateDescribeTags,
  RebootInstancesCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
  waitUntilImageAvailable,
  waitUntilInstanceExists,
  waitUntilInstanceRunning,
  waitUntilInstanceStatusOk,
  waitUntilInstanceStopped,
  waitUntilInstanceTerminated,
  waitUntilKeyPairExists,
} from "@aws-sdk/client-ec2";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const [image, count, told] = process.argv.slice(2);
const ec2 = new EC2Client({ maxAttempts: 1 });
const waiting = { client: ec2, minDelay: 1, maxDelay: 1, maxWaitTime: 90 };

const { Account } = await new STSClient({}).send(new GetCallerIdentityCommand({}));
assert.match(Account, /^[0-9]{12}$/);
const { Regions } = await ec2.send(new DescribeRegionsCommand({}));
assert.equal(Regions[0].RegionName, "us-east-1");

// create
const pair = await ec2.send(new CreateKeyPairCommand({ KeyName: "javascript", KeyType: "ed25519" }));
assert.match(pair.KeyMaterial, /^-----BEGIN/);
await waitUntilKeyPairExists(waiting, { KeyNames: ["javascript"] });
await waitUntilImageAvailable(waiting, { ImageIds: [image] });
const Tags = [{ Key: "Name", Value: "<web> & ü" }, { Key: "empty", Value: "" }];
const { LaunchTemplate } = await ec2.send(new CreateLaunchTemplateCommand({
  LaunchTemplateName: "web",
  LaunchTemplateData: { ImageId: image, InstanceType: "t2.micro", KeyName: "javascript" },
}));
const script = "#!/bin/sh\necho hello from $(imds meta-data/instance-id)\n";
const order = {
  LaunchTemplate: { LaunchTemplateId: LaunchTemplate.LaunchTemplateId, Version: "$Latest" },
  MinCount: Number(count),
  MaxCount: Number(count),
  UserData: Buffer.from(script).toString("base64"),
  ClientToken: "once",
  TagSpecifications: [{ ResourceType: "instance", Tags }],
};
const launched = await ec2.send(new RunInstancesCommand(order));
const again = await ec2.send(new RunInstancesCommand(order));
const InstanceIds = launched.Instances.map((each) => each.InstanceId);
assert.deepEqual(again.Instances.map((each) => each.InstanceId), InstanceIds);
await waitUntilInstanceExists(waiting, { InstanceIds });
await waitUntilInstanceRunning(waiting, { InstanceIds });
await waitUntilInstanceStatusOk(waiting, { InstanceIds });

// read
const running = { Name: "instance-state-name", Values: ["running"] };
const filters = { Filters: [{ Name: "tag:Name", Values: ["<web> & ?"] }, running] };
const { Reservations } = await ec2.send(new DescribeInstancesCommand(filters));
const [instance] = Reservations[0].Instances;
assert.ok(instance.LaunchTime instanceof Date && Math.abs(Date.now() - instance.LaunchTime) < 6e4);
assert.deepEqual(instance.State, { Code: 16, Name: "running" });
assert.equal(instance.NetworkInterfaces[0].Attachment.DeviceIndex, 0);
assert.equal(instance.MetadataOptions.HttpEndpoint, "enabled");
const own = instance.Tags.filter((tag) => !tag.Key.startsWith("aws:"));
assert.deepEqual(own.sort((a, b) => (a.Key < b.Key ? -1 : 1)), Tags);
assert.equal(instance.Tags.length, 4); // and which launch template it is from
const paged = [];
for await (const page of paginateDescribeInstances({ client: ec2, pageSize: 5 }, { Filters: [running] })) {
  paged.push(...page.Reservations.flatMap((each) => each.Instances));
}
assert.deepEqual(paged.map((each) => each.InstanceId).sort(), [...InstanceIds].sort());
let types = 0;
for await (const page of paginateDescribeInstanceTypes({ client: ec2, pageSize: 50 }, {})) {
  types += page.InstanceTypes.length;
}
assert.ok(types > 50);
let tags = 0;
for await (const page of paginateDescribeTags({ client: ec2, pageSize: 5 }, {})) {
  tags += page.Tags.length;
}
assert.ok(tags >= 2 * count);

// change
const one = { InstanceIds: [instance.InstanceId] };
const InstanceId = instance.InstanceId;
await ec2.send(new CreateTagsCommand({ Resources: [InstanceId], Tags: [{ Key: "a", Value: "1" }] }));
await ec2.send(new DeleteTagsCommand({ Resources: [InstanceId], Tags: [{ Key: "empty" }] }));
await ec2.send(new RebootInstancesCommand(one));
await ec2.send(new StopInstancesCommand(one));
await waitUntilInstanceStopped(waiting, one);
const InstanceType = { Value: "t2.small" };
await ec2.send(new ModifyInstanceAttributeCommand({ InstanceId, InstanceType }));
const attribute = { InstanceId, Attribute: "userData" };
const { UserData } = await ec2.send(new DescribeInstanceAttributeCommand(attribute));
assert.equal(Buffer.from(UserData.Value, "base64").toString(), script);
await ec2.send(new StartInstancesCommand(one));
await waitUntilInstanceRunning(waiting, one);
const changed = await ec2.send(new DescribeInstancesCommand(one));
assert.equal(changed.Reservations[0].Instances[0].InstanceType, "t2.small");
let output = await ec2.send(new GetConsoleOutputCommand({ InstanceId }));
assert.equal(output.InstanceId, InstanceId);
const shown = () => Buffer.from(output.Output ?? "", "base64").toString();
const end = Date.now() + 9e4;
while (told && !new RegExp(told).test(shown())) {
  assert.ok(Date.now() < end, shown());
  await new Promise((resolve) => setTimeout(resolve, 500));
  output = await ec2.send(new GetConsoleOutputCommand({ InstanceId, Latest: true }));
}

// what goes wrong has its code
await assert.rejects(
  ec2.send(new DescribeInstancesCommand({ InstanceIds: ["i-99999999"] })),
  (error) =>
    error instanceof EC2ServiceException &&
    error.name === "InvalidInstanceID.NotFound" &&
    error.$metadata.httpStatusCode === 400,
);
await assert.rejects(
  ec2.send(new DescribeRegionsCommand({ DryRun: true })),
  (error) => error.name === "DryRunOperation",
);

// delete
await ec2.send(new TerminateInstancesCommand({ InstanceIds }));
await waitUntilInstanceTerminated(waiting, { InstanceIds });
await ec2.send(new DeleteLaunchTemplateCommand({ LaunchTemplateName: "web" }));
await ec2.send(new DeleteKeyPairCommand({ KeyName: "javascript" }));
const { KeyPairs } = await ec2.send(new DescribeKeyPairsCommand({}));
assert.ok(!KeyPairs.some((each) => each.KeyName === "javascript"));
console.log("the story is told");
