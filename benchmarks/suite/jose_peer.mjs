// node jose_peer.mjs DIRECTORY TASK: jwtVerify one at a time, between rounds of crypto.verify; answers in JSON.
import { createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const require = createRequire(join(process.argv[2], 'here.js'))
const entry = require.resolve('jose')
const { createLocalJWKSet, jwtVerify } = await import(pathToFileURL(entry))
const task = JSON.parse(readFileSync(process.argv[3], 'utf8'))
const options = {
  algorithms: ['RS256'],
  audience: task.audience,
  issuer: task.client,
  subject: task.client,
  clockTolerance: task.leeway,
  requiredClaims: ['iss', 'sub', 'aud', 'exp', 'jti'],
}
const jwks = createLocalJWKSet(task.jwks)
const key = createPublicKey({ key: task.jwks.keys[0], format: 'jwk' })
const floors = task.tokens.map((token) => {
  const dot = token.lastIndexOf('.')
  return [Buffer.from(token.slice(0, dot)), Buffer.from(token.slice(dot + 1), 'base64url')]
})

let at = 0
const take = (list) => Array.from({ length: task.size }, (_, i) => list[(at + i) % list.length])
const seconds = (began) => Number(process.hrtime.bigint() - began) / 1e9 / task.size

function floorRound() {
  const block = take(floors)
  const began = process.hrtime.bigint()
  for (const [input, signature] of block) if (!verify('RSA-SHA256', input, key, signature)) throw new Error('floor')
  return seconds(began)
}

async function joseRound() {
  const block = take(task.tokens)
  const began = process.hrtime.bigint()
  for (const token of block) await jwtVerify(token, jwks, options)
  return seconds(began)
}

const result = { node: process.versions.node, jose: null, floor: [], seconds: [], verdicts: {}, weak: null }
let folder = join(entry, '..')
while (result.jose === null) {
  try {
    const found = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    if (found.name === 'jose' && found.version) result.jose = found.version
  } catch {}
  folder = join(folder, '..')
  if (folder === '/') break
}
for (let warm = 0; warm < 100; warm++) { floorRound(); await joseRound() }
for (let round = 0; round < task.rounds; round++) {
  at = (at + task.size) % task.tokens.length
  const before = floorRound()
  result.seconds.push(await joseRound())
  result.floor.push((before + floorRound()) / 2)
}
const verdict = async (token, set) => {
  try { await jwtVerify(token, set, options) } catch (error) { return error.code ?? error.name }
  return null
}
await verdict(task.sent.replay, jwks)
for (const [name, token] of Object.entries(task.sent)) result.verdicts[name] = await verdict(token, jwks)
result.weak = await verdict(task.weak.token, createLocalJWKSet(task.weak.jwks))
process.stdout.write(JSON.stringify(result))
