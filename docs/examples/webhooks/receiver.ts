// A receiver of rdev's webhooks, with nothing but Node. verify is the part to take
// along.
//
//   WEBHOOK_SECRET=whsec_… npx tsx receiver.ts

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

// How far a request's clock may be from ours, in seconds. An older one may be one
// that somebody has recorded, and sends again.
const tolerance = 5 * 60;

// verify returns what is wrong with a request, or undefined where it comes from
// whoever knows the secret, whsec_…, and is as it was sent. The body has to be the
// bytes that came over the wire: JSON that was parsed and written again is not.
export function verify(secret: string, headers: IncomingHttpHeaders, body: Uint8Array, now: number = Date.now() / 1000): string | undefined {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  if (key.length === 0) return "the secret is none";
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  if (typeof id !== "string" || id === "" || typeof timestamp !== "string" || !/^[0-9]{1,12}$/.test(timestamp)) {
    return "webhook-id or webhook-timestamp is missing";
  }
  if (Math.abs(now - Number(timestamp)) > tolerance) return "the request is too old, or a clock is wrong";
  const want = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  // While a secret is rotated there are two signatures; ours may be either.
  for (const signature of String(headers["webhook-signature"] ?? "").split(" ")) {
    const [version, encoded = ""] = signature.split(",", 2);
    const got = Buffer.from(encoded, "base64");
    if (version === "v1" && got.length === want.length && timingSafeEqual(got, want)) return undefined;
  }
  return "no signature is right";
}

const [host, port] = (process.env.ADDR ?? "127.0.0.1:8081").split(":");
const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request) {
      size += chunk.length;
      if (size > 8 << 20) throw new Error("too large");
      chunks.push(chunk);
    }
  } catch {
    response.writeHead(400).end("the body cannot be read\n");
    return;
  }
  const wrong = verify(process.env.WEBHOOK_SECRET ?? "", request.headers, Buffer.concat(chunks));
  if (wrong !== undefined) {
    response.writeHead(401).end(wrong + "\n");
    return;
  }
  // Put it into a queue and answer; leave out what has a webhook-id that was here
  // before.
  console.log(request.headers["rdev-seq"], request.headers["ce-type"], request.headers["webhook-id"]);
  response.writeHead(204).end();
});
server.listen(Number(port), host, () => {
  const address = server.address() as AddressInfo;
  console.log(`listening on http://${address.address}:${address.port}`);
});
