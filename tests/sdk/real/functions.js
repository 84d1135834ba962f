// A function as its author writes it for the Functions Framework.
exports.hello = (request, response) => {
  if (request.body.fail) response.status(500).json({ broken: true });
  else response.json({ hello: request.body.name, sum: (request.body.numbers ?? []).reduce((a, b) => a + b, 0) });
};
