import type { Command } from '../processes.ts'
import type { World } from '../world.ts'

export type Protocol = 'h1' | 'h2'

/** A proxy that is measured. */
export interface Peer {
  readonly name: string
  /** A description, for the legend of the table. */
  readonly what: string
  readonly protocols: readonly Protocol[]
  /** Whether it forwards upgraded connections, as it is set up here. */
  readonly servesUpgrades: boolean
  /** Whether it runs on V8, which keeps optimizing hot code for tens of thousands of requests. */
  readonly isCompiledAtRuntime: boolean
  /** Prepares the peer once, for example builds it; returns why it cannot run, if it cannot. */
  readonly prepare: () => Promise<string | undefined>
  /** The command that serves on a port, with its files in a folder of its own. */
  readonly command: (world: World, port: number, directory: string) => Promise<Command>
}

/** The flags that the Go and Node peers share. */
export function proxyFlags(world: World, port: number): string[] {
  return [
    `--listen=127.0.0.1:${port}`,
    `--cert=${world.serving.certFile}`,
    `--key=${world.serving.keyFile}`,
    `--upstream=${world.upstream.url}`,
    `--upstream-ca=${world.ca.certFile}`,
    `--client-cert=${world.client.certFile}`,
    `--client-key=${world.client.keyFile}`,
  ]
}
