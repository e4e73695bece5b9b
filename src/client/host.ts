/** What the process provides to the commands for users. Only the entry points read `process`. */
export interface ClientHost {
  /** The arguments behind the name of the command. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly platform: NodeJS.Platform
  /** How this program was started, for the kubeconfig. */
  readonly program: { readonly node: string; readonly script: string }
  /** The user's home directory. */
  readonly home: () => string
  /** Functions, since opening a stream takes time. */
  readonly stdin: () => NodeJS.ReadStream
  readonly stderr: () => NodeJS.WriteStream
  /** Write the whole text before they return. */
  readonly writeOut: (text: string) => void
  readonly writeError: (text: string) => void
}
