// Runs an exported decoder in Node, and checks every answer.
//
//     ONNXRUNTIME_NODE_INSTALL=skip npm install
//     node client.mjs EXPORT/decode.onnx answers.bin [REQUESTS]
//
// answers.bin is written by keras_vae.exporters.serving.write_answers, which says what it
// holds. Each request takes the next 1 to 64 rows of it. Prints counts and latencies as JSON;
// the exit code is 1 if an answer was wrong, 2 if nothing could be asked, and one line says why.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { performance } from "node:perf_hooks";

const LARGEST_BATCH = 64;
// Of the output's largest absolute value.
const TOLERANCE = 1e-5;
// By TensorFlow's numbers of them. There is no bfloat16: ONNX Runtime has none in Node.
const DTYPES = {
  1: ["float32", Float32Array],
  2: ["float64", Float64Array],
  3: ["int32", Int32Array],
  4: ["uint8", Uint8Array],
  5: ["int16", Int16Array],
  6: ["int8", Int8Array],
  9: ["int64", BigInt64Array],
  10: ["bool", Uint8Array],
  17: ["uint16", Uint16Array],
  19: ["float16", Uint16Array], // The bits.
  22: ["uint32", Uint32Array],
  23: ["uint64", BigUint64Array],
};

// The number in an array of a type, where float16 may come as bits.
function numberAt(values, i, type) {
  if (type !== "float16" || !(values instanceof Uint16Array)) return Number(values[i]);
  const bits = values[i];
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const sign = bits >> 15 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}

function parseAnswers(file) {
  let place = 0;
  const take = (count) => {
    if (place + count > file.length) throw new Error("the answers end too early");
    return file.subarray(place, (place += count));
  };
  const number = () => take(4).readUInt32LE();
  const text = () => take(number()).toString();

  if (take(8).toString() !== "ANSWERS1") throw new Error("this file holds no answers");
  const answers = { signature: text(), rows: number(), inputs: [], outputs: [] };
  const tensors = number();
  for (let i = 0; i < tensors; i++) {
    const list = number() === 1 ? answers.outputs : answers.inputs;
    const name = text();
    const dtype = number();
    if (!(dtype in DTYPES)) throw new Error(`ONNX Runtime has no type ${dtype} of ${name} in Node`);
    const [type, Values] = DTYPES[dtype];
    const shape = Array.from({ length: number() }, number);
    const size = shape.reduce((a, b) => a * b, 1);
    const bytes = take(answers.rows * size * Values.BYTES_PER_ELEMENT);
    // A copy: typed arrays want their bytes aligned.
    const values = new Values(Uint8Array.from(bytes).buffer);
    let scale = 0;
    values.forEach((_, i) => {
      const magnitude = Math.abs(numberAt(values, i, type));
      if (magnitude < Infinity) scale = Math.max(scale, magnitude);
    });
    list.push({ name, type, shape, size, values, scale });
  }
  return answers;
}

function rowsOf(column, start, count) {
  return column.values.subarray(start * column.size, (start + count) * column.size);
}

// Largest error, of the output's scale; infinity if the answer is of another kind.
function errorOf(column, start, count, answer) {
  const shape = [count, ...column.shape];
  if (answer?.type !== column.type || String(answer.dims) !== String(shape)) return Infinity;
  const values = rowsOf(column, start, count);
  let error = 0;
  values.forEach((_, i) => {
    const wanted = numberAt(values, i, column.type);
    const got = numberAt(answer.data, i, column.type);
    const difference = got === wanted ? 0 : Math.abs(got - wanted); // Infinities are equal.
    error = difference >= 0 ? Math.max(error, difference) : Infinity; // NaN
  });
  return error / (column.scale || 1);
}

async function main(model, path, requests) {
  const ort = await import("onnxruntime-node");
  const answers = parseAnswers(await readFile(path));
  if (answers.rows < 1 || answers.outputs.length < 1) throw new Error("the answers are none");
  const session = await ort.InferenceSession.create(model);
  const milliseconds = [];
  let start = 0;
  let rows = 0;
  let wrong = 0;
  let largest = 0;
  for (let request = 0; request < Number(requests); request++) {
    const count = Math.min(1 + (request % LARGEST_BATCH), answers.rows);
    start = Math.min(start, answers.rows - count);
    const feeds = {};
    for (const column of answers.inputs) {
      const shape = [count, ...column.shape];
      feeds[column.name] = new ort.Tensor(column.type, rowsOf(column, start, count), shape);
    }
    const begin = performance.now();
    const outputs = await session.run(feeds);
    milliseconds.push(performance.now() - begin);
    const errors = answers.outputs.map((c) => errorOf(c, start, count, outputs[c.name]));
    const error = Math.max(...errors);
    wrong += error > TOLERANCE ? 1 : 0;
    largest = Math.max(largest, error);
    rows += count;
    start = (start + count) % answers.rows;
  }
  milliseconds.sort((a, b) => a - b);
  const quantile = (share) => milliseconds[Math.round(share * (milliseconds.length - 1))];
  console.log(
    JSON.stringify({
      node: process.versions.node,
      "onnxruntime-node": createRequire(import.meta.url)("onnxruntime-node/package.json").version,
      outputs: answers.outputs.map((column) => column.name),
      requests: milliseconds.length,
      rows,
      wrong,
      largest_error: largest,
      p50_ms: quantile(0.5),
      p99_ms: quantile(0.99),
    }),
  );
  return wrong === 0 ? 0 : 1;
}

const [model, path, requests = "1000"] = process.argv.slice(2);
if (path === undefined || !(Number(requests) >= 1)) {
  console.error("usage: node client.mjs EXPORT/decode.onnx answers.bin [REQUESTS]");
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await main(model, path, requests);
  } catch (error) {
    console.error(`client.mjs: ${String(error?.message ?? error).replace(/\s+/g, " ")}`);
    process.exitCode = 2;
  }
}
