// Starts Swagger UI. The server puts the list of documents in place of the empty one.
"use strict";

const documents = [/* documents */];

// The logo is that of another project, and brings a style that the policy of this page refuses.
const withoutLogo = () => ({ components: { Logo: () => null } });

SwaggerUIBundle({
  urls: documents,
  dom_id: "#page",
  layout: "StandaloneLayout",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  plugins: [withoutLogo],
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  // Tokens are for this visit alone, and no document is sent elsewhere to be checked.
  persistAuthorization: false,
  validatorUrl: null,
});
