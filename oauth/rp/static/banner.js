// Shows the banner where the page has none, and ties unsafe requests to the page's session.
(() => {
  'use strict'
  const header = 'X-Understudy-Session'
  const field = 'understudy_session'
  const tag = 'understudy-banner'
  const banner = () => document.querySelector(tag)
  let id = banner()?.dataset.session

  // from the back-forward cache: its session may be over
  addEventListener('pageshow', (e) => { if (e.persisted) location.reload() })

  const tied = (method, url) =>
    id && !/^(GET|HEAD|OPTIONS)$/i.test(method) && new URL(url, document.baseURI).origin === location.origin

  const fetched = window.fetch
  window.fetch = (input, init) => {
    const request = input instanceof Request ? input : {}
    if (!tied(init?.method || request.method || 'GET', request.url || input)) return fetched(input, init)
    const headers = new Headers(init?.headers || request.headers)
    headers.set(header, id)
    return fetched(input, { ...init, headers })
  }

  const { open } = XMLHttpRequest.prototype
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    open.call(this, method, url, ...rest)
    tied(method, url) && this.setRequestHeader(header, id)
  }

  addEventListener('formdata', ({ target, formData }) => {
    const attribute = (name) => target.getAttribute(name) // not .action, which a control may be
    if (!tied(attribute('method') || 'get', attribute('action') || location)) return
    const rest = [...formData]
    for (const [name] of rest) formData.delete(name)
    formData.set(field, id) // first: before a large file
    for (const [name, value] of rest) name === field || formData.append(name, value)
  })

  const element = (name, properties, ...children) => {
    const e = Object.assign(document.createElement(name), properties)
    e.append(...children)
    return e
  }
  const json = (answer) => answer.json()
  const bdi = (text) => element('bdi', {}, text)

  const stop = (e) => {
    e.preventDefault()
    const form = e.target
    fetched(form.action, { method: 'POST', headers: { Accept: 'application/json' }, body: new URLSearchParams({ [field]: id }) })
      .then(json).then(({ redirect }) => location.assign(redirect || location)).catch(() => form.submit())
  }

  let asked
  const ask = () => asked ??= fetched('/.understudy/session').then(json)

  const fill = async (host) => {
    const { session, subject, actor, mode, expires_at: ends, stop: action } = await ask()
    if (!session) return
    const css = await (await fetched('/.understudy/banner.css')).text()
    if (host.shadowRoot || banner() !== host) return
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(css)
    document.adoptedStyleSheets.push(sheet)
    const lead = "You're impersonating "
    const name = subject.name || subject.email || subject.sub
    Object.assign(host, { role: 'region', ariaLabel: lead + name })
    host.dataset.session = session
    const root = host.attachShadow({ mode: 'open' })
    root.adoptedStyleSheets.push(sheet)
    root.append(element('div', { className: 'b' },
      element('p', {}, lead, element('b', {}, bdi(name)), ...(subject.name && subject.email ? [' (', bdi(subject.email), ')'] : []),
        ' ', element('span', { className: 'm' }, '· you are ', bdi(actor.email || actor.name || actor.sub), ` · ${mode === 'write' ? 'full access' : 'look only'} · ends `,
          element('time', { dateTime: ends }, ends.slice(11, 16) + ' UTC'))),
      element('form', { method: 'post', action, target: '_top', onsubmit: stop },
        element('input', { type: 'hidden', name: field, value: session }), element('button', {}, 'Stop'))))
  }

  customElements.define(tag, class extends HTMLElement {
    connectedCallback() { this.shadowRoot || fill(this).catch(() => {}) }
    // not at once: a page that drops it again would hang
    disconnectedCallback() { this.shadowRoot && setTimeout(() => banner() || document.body.prepend(this), 50) }
  })

  id || ask().then((s) => {
    id = s.session
    id && (banner() || document.body.prepend(document.createElement(tag)))
  }).catch(() => {})
})()
