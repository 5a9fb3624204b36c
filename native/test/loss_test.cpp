// Promises of core/loss.h: accurate, bounded, finite at the ends.
#include "core/loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/rng.h"

namespace sluice {
namespace {

double units_apart(double a, double b) {
  return std::fabs(a - b) / (std::nextafter(std::fabs(b), INFINITY) - std::fabs(b));
}

TEST(Loss, ExpIsWithinTwoUnitsOfLibm) {
  Rng rng(1);
  for (int i = 0; i < 200000; ++i) {
    const double x = (rng.unit() - 0.5) * 1400.0;
    ASSERT_LE(units_apart(exp_exact(x), std::exp(x)), 2.0) << x;
  }
  EXPECT_EQ(exp_exact(0.0), 1.0);
  EXPECT_EQ(exp_exact(-1e300), 0.0);
  EXPECT_TRUE(std::isfinite(exp_exact(1e300)));
  EXPECT_TRUE(std::isnan(exp_exact(NAN)));
}

TEST(Loss, LogIsWithinTwoUnitsOfLibm) {
  Rng rng(2);
  for (int i = 0; i < 200000; ++i) {
    const double x = std::exp((rng.unit() - 0.5) * 1400.0);
    ASSERT_LE(units_apart(log_exact(x), std::log(x)), 2.0) << x;
    const double near = 1.0 + (rng.unit() - 0.5) * 1e-3;
    ASSERT_LE(units_apart(log_exact(near), std::log(near)), 2.0) << near;
  }
  EXPECT_EQ(log_exact(1.0), 0.0);
  EXPECT_EQ(log_exact(0.0), -745.0);
  EXPECT_EQ(log_exact(-1.0), -745.0);
}

TEST(Loss, SigmoidStaysInItsRangeAndNeverFalls) {
  double last = 0;
  for (double z = -800; z <= 800; z += 0.37) {
    const double p = sigmoid(z);
    ASSERT_GE(p, last);
    ASSERT_LE(p, 1.0);
    last = p;
  }
  EXPECT_EQ(sigmoid(0.0), 0.5);
}

TEST(Loss, SoftmaxSumsToOneEvenAtTheEnds) {
  double z[4] = {1e30, -1e30, 1e30, 0};
  softmax(z, 4);
  EXPECT_EQ(z[0], 0.5);
  EXPECT_EQ(z[1], 0.0);
  EXPECT_EQ(z[2], 0.5);
}

TEST(Loss, LogitsThatOverflowedAreBounded) {
  EXPECT_EQ(bounded_logit(NAN), 0.0);
  EXPECT_EQ(bounded_logit(INFINITY), 1e30);
  EXPECT_EQ(bounded_logit(-INFINITY), -1e30);
}

TEST(Loss, GradientOfTheLogisticLossIsProbabilityMinusTruth) {
  for (double y : {0.0, 1.0})
    for (double z = -20; z <= 20; z += 0.5) {
      const double h = 1e-5;
      const double slope = (logistic_loss(z + h, y) - logistic_loss(z - h, y)) / (2 * h);
      ASSERT_NEAR(slope, sigmoid(z) - y, 1e-8);
    }
}

}  // namespace
}  // namespace sluice
