/** `node dev/parts/main.ts`: builds the real parts, and starts a control plane made of them. */
import { once } from 'node:events'
import { Command } from 'commander'
import { startControlPlane } from './control-plane.ts'
import { keycloakAvailable, keycloakPath } from './keycloak-distribution.ts'
import { part, partNames, partsAvailable } from './parts.ts'
import { runPod } from './run-pod.ts'

const program = new Command('parts').description(
  'Build the real parts that Gatehouse is tested against from source into a cache, and start them',
)

program
  .command('build')
  .description(
    `build the parts that the cache does not contain yet: ${partNames.join(', ')}, and Keycloak if it can be had`,
  )
  .action(async () => {
    const availability = await partsAvailable(partNames)
    if (!availability.available) throw new Error(availability.reason)
    for (const name of partNames) console.log(`${name}\t${await part(name)}`)
    const keycloak = await keycloakAvailable()
    if (keycloak.available) console.log(`keycloak\t${keycloakPath()}`)
    else console.error(`\n*** ${keycloak.reason} ***\n`)
  })

program
  .command('start')
  .description('start a control plane with one pod, print how to reach it, and wait for Ctrl-C')
  .action(async () => {
    const end = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end.abort())
    const { stop, failed, ...controlPlane } = await startControlPlane()
    try {
      await runPod(controlPlane, 'default', 'web')
      console.log(JSON.stringify(controlPlane, null, 2))
      console.log(`\nexport KUBECONFIG=${controlPlane.adminKubeconfig}`)
      console.log(`${controlPlane.kubectl} logs -f web`)
      const keepAlive = setInterval(() => undefined, 60_000)
      await Promise.race([failed, once(end.signal, 'abort')])
      clearInterval(keepAlive)
    } finally {
      await stop()
    }
  })

await program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
})
