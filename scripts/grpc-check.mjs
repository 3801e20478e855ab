// Checks a server with Connect for Node: lists all services by reflection v1, calls every method over gRPC and gRPC-Web, and
// decodes the details of every error with types from reflection. scripts/grpc-check runs it.
//
// Usage: node grpc-check.mjs DIRECTORY DESCRIPTORS ADDRESS TOKEN TOKEN
// DIRECTORY is the directory of connect-node (scripts/peers), DESCRIPTORS the encoded descriptors of grpc.reflection. There is
// one token for each protocol, because each run ends with a logout.
import fs from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [directory, descriptors, address, ...tokens] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${directory}/`));
const { Code, ConnectError, createClient } = require("@connectrpc/connect");
const { createGrpcTransport, createGrpcWebTransport } = require("@connectrpc/connect-node");
const { create, createFileRegistry, fromBinary } = require("@bufbuild/protobuf");
const { FileDescriptorProtoSchema, FileDescriptorSetSchema } = require("@bufbuild/protobuf/wkt");

// Codes of calls that did not reach the method, or of a failure in it.
const wrong = [Code.Unauthenticated, Code.Unimplemented, Code.Unknown, Code.Internal, Code.Unavailable];
const assert = (good, what) => {
  if (!good) throw new Error(what);
};

// Sends requests on a reflection stream and passes each response to `take`, which returns further requests.
async function reflect(transport, questions, take) {
  const set = fromBinary(FileDescriptorSetSchema, fs.readFileSync(descriptors));
  const service = createFileRegistry(set).getService("grpc.reflection.v1.ServerReflection");
  const client = createClient(service, transport);
  for (let open = questions; open.length > 0; ) {
    const asked = open.map((question) => ({ messageRequest: question }));
    open = [];
    for await (const answer of client.serverReflectionInfo((async function* () { yield* asked; })())) {
      const { case: kind, value } = answer.messageResponse;
      assert(kind !== "errorResponse", `${value.errorMessage}`);
      open.push(...take(value));
    }
  }
}

// The names of all services and a registry of all files, from reflection.
async function everything(transport) {
  let services = [];
  await reflect(transport, [{ case: "listServices", value: "" }], (list) => {
    services = list.service.map((service) => service.name);
    return [];
  });
  const files = new Map();
  const take = (answer) => answer.fileDescriptorProto.flatMap((bytes) => {
    const file = fromBinary(FileDescriptorProtoSchema, bytes);
    if (files.has(file.name)) return [];
    files.set(file.name, file);
    return file.dependency.map((name) => ({ case: "fileByFilename", value: name }));
  });
  const symbols = [...services, "google.rpc.ErrorInfo", "google.rpc.Status"];
  await reflect(transport, symbols.map((name) => ({ case: "fileContainingSymbol", value: name })), take);
  return { services, registry: createFileRegistry(create(FileDescriptorSetSchema, { file: sorted(files) })) };
}

// Imports come first, as the registry requires.
function sorted(files) {
  const done = new Map();
  const visit = (file) => {
    file.dependency.forEach((name) => done.has(name) || visit(files.get(name)));
    done.set(file.name, file);
  };
  [...files.values()].forEach(visit);
  return [...done.values()];
}

async function call(client, method, token) {
  const options = { headers: { authorization: `Bearer ${token}` }, timeoutMs: 30_000 };
  if (method.methodKind === "server_streaming") {
    for await (const _ of client[method.localName]({}, options)) return;
  } else {
    await client[method.localName]({}, options);
  }
}

async function check(name, transport, token) {
  const { services, registry } = await everything(transport);
  let [called, errors] = [0, 0];
  const methods = services.flatMap((service) => registry.getService(service).methods);
  methods.sort((a, b) => (a.name === "Logout") - (b.name === "Logout"));
  for (const method of methods) {
    if (method.methodKind === "bidi_streaming") continue;
    called += 1;
    try {
      await call(createClient(method.parent, transport), method, token);
    } catch (error) {
      if (!(error instanceof ConnectError)) throw error;
      errors += 1;
      const infos = error.findDetails(registry.getMessage("google.rpc.ErrorInfo"));
      const path = `${method.parent.typeName}/${method.name}`;
      console.log(`${path}: ${Code[error.code]} ${JSON.stringify(error.rawMessage)} ${infos.map((info) => info.reason)}`);
      // Several surfaces have a Logout; the first call ends the session of the token.
      const ended = method.name === "Logout" && error.code === Code.Unauthenticated;
      assert(ended || !wrong.includes(error.code), path);
      assert(infos.length === 1 && infos[0].domain === "tenantry", path);
    }
  }
  assert(errors > 0, "no error, so no details were read");
  console.log(`${name}: ${services.length} services, ${called} methods called, ${errors} errors with details`);
}

const baseUrl = `http://${address}`;
await check("gRPC", createGrpcTransport({ baseUrl }), tokens[0]);
await check("gRPC-Web over HTTP/2", createGrpcWebTransport({ baseUrl, httpVersion: "2" }), tokens[1]);
process.exit(0);
