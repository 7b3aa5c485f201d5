// Events from a stream that `eslcodec bridge` filled, in Node (docs/contract.md). Each is acknowledged when it was handled.
//     npm install @nats-io/transport-node @nats-io/jetstream
//     node stream.mjs nats://127.0.0.1:4222 ESL-fs1 billing
import { connect } from "@nats-io/transport-node";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";

const [servers = "nats://127.0.0.1:4222", stream = "ESL-fs1", durable = "billing"] = process.argv.slice(2);
const connection = await connect({ servers });
const manager = await jetstreamManager(connection);
// One message at a time: what comes again comes before what is behind it.
await manager.consumers.add(stream, { durable_name: durable, ack_policy: AckPolicy.Explicit, max_ack_pending: 1 });
const consumer = await jetstream(connection).consumers.get(stream, durable);

for await (const message of await consumer.consume()) {
  const event = message.json(); // "_notice" is what is said of the stream itself: gaps, losses
  const switchName = decodeURIComponent(message.headers.get("ce-source").slice("/esl/".length));
  const again = message.redelivered ? " again" : "";
  console.log(switchName, event._id, event._notice ?? event["Event-Name"], (event["Unique-ID"] ?? "-") + again);
  message.ack(); // only now: if this program dies, it comes again
}
