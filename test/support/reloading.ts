/** Files that change under a running Gatehouse, and streams that are open meanwhile. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'

import type { ApiServer } from './api-server.ts'
import { replaceFile } from './files.ts'
import type { TestGatehouse } from './gatehouse.ts'

/** Replaces a file as a careful operator does, and makes Gatehouse look. */
export async function replaceAndReload(
  gatehouse: TestGatehouse,
  name: string,
  text: string,
): Promise<void> {
  await replaceFile(gatehouse.file(name), text)
  gatehouse.gatehouse.reload()
}

/** A watch by token that the stand-in for the API server keeps open after one event. */
export async function openWatch(
  {
    gatehouse,
    api,
    claims,
  }: {
    readonly gatehouse: TestGatehouse
    readonly api: ApiServer
    readonly claims?: Readonly<Record<string, unknown>>
  },
  path = '/api/v1/pods?watch=true',
  contentType = 'application/json',
  event: string | Buffer = '{"type":"ADDED"}\n',
): Promise<IncomingMessage> {
  api.handler = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': contentType })
    response.write(event)
  }
  const watch = httpsRequest(gatehouse.url + path, {
    ca: gatehouse.ca,
    agent: false,
    headers: { authorization: `Bearer ${await gatehouse.token(claims)}` },
  })
  watch.end()
  const [response] = (await once(watch, 'response')) as [IncomingMessage]
  await once(response, 'data')
  api.handler = undefined
  return response
}
