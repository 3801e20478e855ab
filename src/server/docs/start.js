// Starts Swagger UI. The server puts the list of documents in place of the empty one.
"use strict";

const documents = [/* documents */];

SwaggerUIBundle({
  urls: documents,
  dom_id: "#page",
  layout: "StandaloneLayout",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  // Tokens are for this visit alone, and no document is sent elsewhere to be checked.
  persistAuthorization: false,
  validatorUrl: null,
});
