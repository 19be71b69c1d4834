// Get a token with client credentials and private_key_jwt, as a user of each library would.
// The arguments come as JSON on standard input; what came of it is one JSON object on standard output.
import { webcrypto } from 'node:crypto'
import { text } from 'node:stream/consumers'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'

const ALGORITHMS = {
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  Ed25519: { name: 'Ed25519' },
}

const { library, alg, kid, pkcs8, issuer, token_endpoint, client_id } = JSON.parse(await text(process.stdin))
const key = await webcrypto.subtle.importKey('pkcs8', Buffer.from(pkcs8, 'base64'), ALGORITHMS[alg], false, ['sign'])
const server = { issuer, token_endpoint }

async function oauth4webapi() {
  const client = { client_id }
  const response = await oauth.clientCredentialsGrantRequest(
    server,
    client,
    oauth.PrivateKeyJwt({ key, kid }),
    new URLSearchParams(),
    { [oauth.allowInsecureRequests]: true },
  )
  return oauth.processClientCredentialsResponse(server, client, response)
}

async function openidClient() {
  const config = new openid.Configuration(server, client_id, undefined, openid.PrivateKeyJwt({ key, kid }))
  openid.allowInsecureRequests(config)
  return openid.clientCredentialsGrant(config)
}

try {
  const tokens = await (library === 'oauth4webapi' ? oauth4webapi() : openidClient())
  console.log(JSON.stringify({ access_token: tokens.access_token }))
} catch (error) {
  // Both show a challenge (WWW-Authenticate) in place of the body of the answer.
  const code = error.error ?? error.cause?.[0]?.parameters?.error ?? null
  console.log(JSON.stringify({ error: code, status: error.status ?? null, message: String(error) }))
}
