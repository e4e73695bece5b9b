import { html, type Html } from './html.ts'
import { ICON_PATH, STYLE_PATH } from './paths.ts'

export interface LayoutOptions {
  readonly displayName: string
  readonly title: string
  /** Where the browser goes on by itself. */
  readonly continueTo?: string
}

/** A whole document around the content of a page. */
export function layout({ displayName, title, continueTo }: LayoutOptions, content: Html): Html {
  const refresh =
    continueTo === undefined
      ? html``
      : html`<meta http-equiv="refresh" content="0; url=${continueTo}" />`
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        ${refresh}
        <title>${title} · ${displayName}</title>
        <link rel="icon" href="${ICON_PATH}" type="image/svg+xml" />
        <link rel="stylesheet" href="${STYLE_PATH}" />
      </head>
      <body>
        <header><p class="brand">${displayName}</p></header>
        <main>${content}</main>
      </body>
    </html> `
}
