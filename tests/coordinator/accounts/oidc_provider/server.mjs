// A real identity provider for tests: OpenID Connect by `oidc-provider`, on a free port of this host.
//
// The first line on stdout is JSON with its issuer. It ends when stdin closes, so that no test can leave it running.
// Names, passwords and factors are made up; the login form asks for a name, a password and which factors to assert.
import http from 'node:http';
import Provider from 'oidc-provider';

const REDIRECT = 'https://127.0.0.1:8443/console/sign-in/oidc/callback';
const PASSWORD = 'what the provider knows';

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      { client_id: 'doudi', token_endpoint_auth_method: 'none', redirect_uris: [REDIRECT], ...code() },
      { client_id: 'doudi-secret', client_secret: 'a secret of tests', redirect_uris: [REDIRECT], ...code() },
      { client_id: 'neighbour', token_endpoint_auth_method: 'none', redirect_uris: [REDIRECT], ...code() },
    ],
    claims: { openid: ['sub', 'acr', 'amr'], profile: ['preferred_username'] },
    // The name stands in the ID token, where it is signed.
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_context, subject) => ({
      accountId: subject,
      claims: () => ({ sub: subject, preferred_username: subject.replace(/^person-/, '') }),
    }),
    // Consent is not what is tested: every client has it.
    async loadExistingGrant(context) {
      const grant = new context.oidc.provider.Grant({
        clientId: context.oidc.client.clientId,
        accountId: context.oidc.session.accountId,
      });
      grant.addOIDCScope('openid profile');
      await grant.save();
      return grant;
    },
  });
  const answer = provider.callback();
  server.on('request', (request, response) => {
    (request.url.startsWith('/interaction/') ? interact(provider, request, response) : answer(request, response));
  });
  process.stdout.write(`${JSON.stringify({ issuer, redirect: REDIRECT, password: PASSWORD })}\n`);
});
process.stdin.on('close', () => process.exit(0));
process.stdin.resume();

function code() {
  return { grant_types: ['authorization_code'], response_types: ['code'] };
}

async function interact(provider, request, response) {
  try {
    if (request.method === 'GET') {
      await provider.interactionDetails(request, response);
      response.setHeader('Content-Type', 'text/html');
      response.end(`<form method="post" action="${request.url}">
        <input name="name"><input name="password" type="password"><input name="amr"><input name="acr"></form>`);
      return;
    }
    let body = '';
    for await (const piece of request) body += piece;
    const form = new URLSearchParams(body);
    if (form.get('password') !== PASSWORD) {
      await provider.interactionFinished(request, response, { error: 'access_denied' });
      return;
    }
    const login = { accountId: `person-${form.get('name')}`, remember: false };
    if (form.get('amr')) login.amr = form.get('amr').split(' ');
    if (form.get('acr')) login.acr = form.get('acr');
    await provider.interactionFinished(request, response, { login });
  } catch (error) {
    response.statusCode = 400;
    response.end(error.name);
  }
}
