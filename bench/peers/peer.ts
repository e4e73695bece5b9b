import type { Command } from '../processes.ts'
import type { World } from '../world.ts'

export type Protocol = 'h1' | 'h2'

/** One that is measured. */
export interface Peer {
  readonly name: string
  /** What it does, for the table's legend. */
  readonly what: string
  readonly protocols: readonly Protocol[]
  /** It runs on V8, which goes on compiling what is hot for tens of thousands of requests. */
  readonly isCompiledAtRuntime: boolean
  /** Gets ready once (builds, say); returns what is missing where it cannot run here. */
  readonly prepare: () => Promise<string | undefined>
  /** What to start for a port, with its files in a folder of its own. */
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
