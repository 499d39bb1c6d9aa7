// Live values on a page that is complete without them. An element with data-live-url is told of changes by server-sent events.
//
// Each message is a JSON object of keys and values. Within the element, [data-live="key"] gets the value as its text, or, with
// data-live-attribute, as one of the attributes below. The event "end" closes the stream and shows [data-live-end].
"use strict";

(function () {
  // Attributes that can say a number or a state, and none that could run or load anything.
  var ATTRIBUTES = ["value", "max", "width", "height", "x", "y", "x1", "x2", "cx", "cy", "points", "datetime", "data-state"];

  function show(area, values) {
    area.querySelectorAll("[data-live]").forEach(function (element) {
      var key = element.getAttribute("data-live");
      if (!Object.prototype.hasOwnProperty.call(values, key)) return;
      var attribute = element.getAttribute("data-live-attribute");
      var value = String(values[key]);
      if (attribute === null) element.textContent = value;
      else if (ATTRIBUTES.indexOf(attribute) >= 0) element.setAttribute(attribute, value);
    });
  }

  function follow(area) {
    var source = new EventSource(area.getAttribute("data-live-url"));
    source.onmessage = function (message) {
      var values;
      try { values = JSON.parse(message.data); } catch (error) { return; }
      if (values !== null && typeof values === "object") show(area, values);
    };
    source.addEventListener("end", function () {
      source.close();
      area.querySelectorAll("[data-live-end]").forEach(function (element) { element.hidden = false; });
    });
    // A browser that leaves the page in its memory must not hold a connection of the coordinator.
    window.addEventListener("pagehide", function () { source.close(); });
  }

  if (window.EventSource) document.querySelectorAll("[data-live-url]").forEach(follow);
})();
