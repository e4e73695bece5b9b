import { callApi } from './api-client.ts'
import { adminOf, type ControlPlane } from './control-plane.ts'
import { waitUntil } from './wait-until.ts'

/**
 * Creates a pod on the stand-in node (and its namespace, if that does not exist) and resolves when
 * it runs. Its container `main` prints "tick N" five times per second and "echo: LINE" for each line
 * of its stdin. Throws with the API server's last response when the pod does not run within a minute.
 */
export async function runPod(
  controlPlane: ControlPlane,
  namespace: string,
  name: string,
): Promise<void> {
  const api = adminOf(controlPlane)
  await callApi(api, 'POST', '/api/v1/namespaces', { metadata: { name: namespace } })
  const pods = `/api/v1/namespaces/${namespace}/pods`
  const pod = {
    metadata: { name, labels: { app: name } },
    spec: { containers: [{ name: 'main', image: 'none.invalid/main' }] },
  }
  let response = { status: 0, body: '' }
  await waitUntil(`pod ${namespace}/${name} runs`, async () => {
    response = await callApi(api, 'GET', `${pods}/${name}`)
    if (response.status === 200) return phaseOf(response.body) === 'Running'
    // A new namespace has no default service account for about a second: until then this is a 403.
    response = await callApi(api, 'POST', pods, pod)
    return false
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; last response: ${response.status} ${response.body}`)
  })
}

function phaseOf(pod: string): string | undefined {
  return (JSON.parse(pod) as { status?: { phase?: string } }).status?.phase
}
