/* Fetch the part of a page that workers or the broker answer, once the page itself is there. */
"use strict";
document.querySelectorAll("[data-procman-answers]").forEach(function (place) {
    place.setAttribute("aria-busy", "true");
    fetch(place.dataset.procmanAnswers, {credentials: "same-origin"})
        .then(function (response) {
            if (!response.ok || response.redirected) {
                throw new Error("status " + response.status);
            }
            return response.text();
        })
        .then(function (text) {
            place.innerHTML = text;
        })
        .catch(function (error) {
            const line = document.createElement("p");
            line.className = "procman-problem";
            line.textContent = "The web server did not answer (" + error.message + "). Reload the page.";
            place.prepend(line);
        })
        .then(function () {
            place.setAttribute("aria-busy", "false");
        });
});
