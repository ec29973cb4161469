// Shows the banner, and ties unsafe requests to whom the page was made for.
(() => {
'use strict'
const field = 'understudy_session'
const tag = 'understudy-banner'
const banner = () => document.querySelector(tag)
let id = banner()?.dataset.session // or 'none', of nobody; undefined until known

// kept by the browser: its session may be over
addEventListener('pageshow', (e) => e.persisted && location.reload())

const tied = (method, url) =>
  id && !/^(GET|HEAD|OPTIONS)$/i.test(method || 'GET') && new URL(url, document.baseURI).origin === location.origin

const header = 'X-Understudy-Session'
const fetched = window.fetch
window.fetch = async (input, init) => {
  if (!tied(init?.method || input.method, input.url || input)) return fetched(input, init)
  const headers = new Headers(init?.headers || input.headers)
  headers.set(header, id)
  return fetched(input, { ...init, headers })
}

const beacon = navigator.sendBeacon // takes no header
navigator.sendBeacon = (url, body) =>
  tied('POST', url) ? !!fetch(url, { method: 'POST', body, keepalive: true }).catch(() => {}) : beacon?.call(navigator, url, body)

const xhr = XMLHttpRequest.prototype
const { open } = xhr
xhr.open = function (...given) {
  open.apply(this, given)
  tied(...given) && this.setRequestHeader(header, id)
}

addEventListener('formdata', ({ target, formData }) => {
  // not .action, which a control may be
  if (id === 'none' || !tied(target.getAttribute('method'), target.getAttribute('action') || location)) return
  formData.delete(field)
  const all = [[field, id], ...formData] // first: before a large file
  for (const [name] of all) formData.delete(name)
  for (const entry of all) formData.append(...entry)
})

const element = (name, properties, ...children) => {
  const e = Object.assign(document.createElement(name), properties)
  e.append(...children)
  return e
}
const bdi = (text) => element('bdi', {}, text)

const stop = ({ target }) => {
  fetched(target.action, { method: 'POST', headers: { Accept: 'application/json' }, body: new FormData(target) })
    .then((a) => a.json()).then(({ redirect }) => location = redirect.trim()).catch(() => target.submit()) // or of none
  return false
}

const get = (name, as, wait = 1e3) => fetched('/.understudy/' + name).then((a) => a.ok ? a[as]() : Promise.reject())
  .catch(() => new Promise((done) => setTimeout(() => done(get(name, as, wait + 1e3)), wait)))
let asked
const ask = () => asked ??= get('session', 'json')

const fill = async (host) => {
  const { session, subject, actor, mode, expires_at: ends, stop: action } = await ask()
  if (!session) return
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(await get('banner.css', 'text'))
  if (host.shadowRoot || banner() !== host) return
  document.adoptedStyleSheets.push(sheet)
  const lead = "You're impersonating "
  const name = subject.name || subject.email || subject.sub
  host.role = 'region'
  host.ariaLabel = lead + name
  host.dataset.session = session
  host.attachShadow({ mode: 'open' }).adoptedStyleSheets.push(sheet)
  host.shadowRoot.append(element('div', { className: 'b' },
    element('p', {}, lead, element('b', {}, bdi(name)), ...(subject.name && subject.email ? [' (', bdi(subject.email), ')'] : []),
      ' ', element('span', { className: 'm' }, '· you are ', bdi(actor.email || actor.name || actor.sub), ` · ${mode === 'write' ? 'full access' : 'look only'} · ends `,
        element('time', { dateTime: ends }, ends.slice(11, 16) + ' UTC'))),
    element('form', { method: 'post', action, target: '_top', onsubmit: stop },
      element('input', { type: 'hidden', name: field, value: session }), element('button', {}, 'Stop'))))
}

customElements.define(tag, class extends HTMLElement {
  connectedCallback() { this.shadowRoot || fill(this) }
  // not at once: a page that drops it again would hang
  disconnectedCallback() { this.shadowRoot && setTimeout(() => banner() || document.body.prepend(this), 50) }
})

id || ask().then(({ session }) => {
  id = session || 'none'
  session && (banner() || document.body.prepend(element(tag)))
})
})()
