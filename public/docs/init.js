// Swagger UI, for this Worker's own document. Without a validator: the default one is another host's.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null });
